"""What a crowd of samples of a trained model is like."""

from charlab.data.dataset import DataSet
from charlab.data.quality import Quality
from charlab.errors import TrainingDiverged
from charlab.model import CharModel
from charlab.sampling import sample, sample_generator

# enough for the parts of a crowd to be known to half a per cent
QUALITY_SAMPLES = 5000
QUALITY_MAX_LENGTH = 100


def sample_quality(model: CharModel, data: DataSet, seed: int) -> Quality | None:
    """Quality of QUALITY_SAMPLES texts drawn at temperature 1.

    None where the model diverged, and for streams, whose samples have no quality as a crowd.
    """
    if data.quality is None:
        return None
    device = next(model.parameters()).device
    try:
        drawn = sample(
            model,
            data.vocabulary,
            sample_generator(seed, 0, device),
            num_samples=QUALITY_SAMPLES,
            max_length=QUALITY_MAX_LENGTH,
        )
    except TrainingDiverged:
        return None
    return data.quality([one.text for one in drawn], [one.ended for one in drawn])
