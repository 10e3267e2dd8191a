#!/bin/sh
# A SLURM of one node on this machine, to try hydra/launcher=slurm on: Debian or Ubuntu, as root,
# also in a container without systemd. No accounting; nothing is started at boot.
set -e
apt-get update && apt-get install -y --no-install-recommends slurm-wlm munge
host=$(hostname -s)
mkdir -p /run/munge /var/spool/slurmctld /var/spool/slurmd /var/log/slurm
chown munge: /run/munge && chmod 755 /run/munge
cat > /etc/slurm/slurm.conf <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
su munge -s /bin/sh -c /usr/sbin/munged
slurmctld && slurmd
sleep 3 && sinfo
