"""`charlab wandb-report GROUP`: a report on W&B's server about the runs of a group.

Imports wandb and its library of reports when it is called.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from charlab.errors import CharlabError, MissingPackage, UsageError

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report

# title of a panel of val/bpc -> the metric it is drawn against
X_AXES = {
    "by step": "trainer/global_step",
    "by characters seen": "progress/chars_seen",
    "by seconds": "progress/seconds",
}
CELL = "model.cell"
# of the 24 columns of a page
THIRD, HALF, WHOLE = 8, 12, 24


@click.command("wandb-report", short_help="Make a W&B report about a group.")
@click.argument("group")
@click.option("--project", default="charlab", show_default=True, help="W&B project of the runs.")
@click.option("--entity", help="W&B team or user.", show_default="the account's own")
@click.option("--title", help="Title of the report.", show_default="GROUP")
def wandb_report_command(group: str, project: str, entity: str | None, title: str | None) -> None:
    """Make a W&B report about a group of runs, such as a sweep, and print its address.

    It shows validation by step, characters and seconds, test scores, throughput, samples and a
    comparison of the runs, by cell. Each call makes a report; it follows runs that are added later.
    """
    if find_spec("wandb_workspaces") is None:
        raise MissingPackage("charlab wandb-report", "wandb-workspaces", "wandb-report")
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    if not wandb.login(prompt=False, verify=False):
        raise UsageError(
            "a W&B report needs credentials",
            expected="a key in WANDB_API_KEY, or from `wandb login`",
            got="neither",
            hint="wandb login",
        )
    try:
        owner = entity or wandb.Api().default_entity
        if owner is None:
            raise UsageError("the account has no entity of its own", hint="--entity TEAM")
        report = build_report(group, project, owner, title or group)
        report.save()
    except UsageError:
        raise
    except Exception as error:  # those of W&B have no class in common
        raise CharlabError(
            "W&B's server did not take the report",
            expected=f"a server that has, or may be given, the project {project}",
            got=" ".join(str(error).split()),
        ) from error
    click.echo(report.url)


def build_report(group: str, project: str, entity: str, title: str) -> "Report":
    """Not saved yet; its runs are those of the group, and curves and bars the means of cells."""
    from wandb_workspaces import expr
    from wandb_workspaces.reports import v2 as wr

    runs = wr.Runset(
        entity=entity,
        project=project,
        name=group,
        filters=[expr.Metric("Group") == group],
        groupby=[f"config.{CELL}"],
    )

    def curve(title: str, x: str, y: str, layout: wr.Layout) -> wr.LinePlot:
        return wr.LinePlot(
            title=title,
            x=x,
            y=[y],
            groupby=wr.Config(CELL),
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
            layout=layout,
        )

    scores = wr.BarPlot(
        title="test/bpc of the best checkpoint",
        metrics=["test/bpc"],
        groupby=wr.Config(CELL),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        layout=wr.Layout(x=0, y=7, w=HALF, h=7),
    )
    right = wr.Layout(x=HALF, y=7, w=HALF, h=7)
    panels: list[Any] = [  # of classes that have a union in common, and no name for it
        *(
            curve(f"val/bpc {name}", axis, "val/bpc", wr.Layout(x=n * THIRD, y=0, w=THIRD, h=7))
            for n, (name, axis) in enumerate(X_AXES.items())
        ),
        scores,
        curve("characters a second", "trainer/global_step", "perf/chars_per_s", right),
        wr.WeavePanelSummaryTable(table_name="samples", layout=wr.Layout(x=0, y=14, w=WHOLE, h=9)),
        wr.RunComparer(diff_only="split", layout=wr.Layout(x=0, y=23, w=WHOLE, h=10)),
    ]
    return wr.Report(
        entity=entity,
        project=project,
        title=title,
        description="Curves and bars are means over the runs of a cell, with the least and the "
        "greatest. Intervals and tests: charlab compare.",
        blocks=[wr.PanelGrid(runsets=[runs], panels=panels)],
        width="fluid",
    )
