"""What the dataset card says of the model and its training, from the config's sections periods, model and training."""

from workflow.scripts.common.periods import PROTOCOL_TRAINING

OUTSIDE = (
    "> **Outside AIMIP's protocol.** AIMIP allows training on {allowed} only; {spans}: a submission trained so is to "
    "be marked where it is compared with others.\n\n"
)
# Of model/data/uniform_warming.csv.
FIRST_GUESS = (
    "a first guess by theory (Allen and Ingram 2002, doi:10.1038/nature01092, for rain; Held and Soden 2006, "
    "doi:10.1175/JCLI3990.1, for humidity; a moist adiabat aloft), by published numbers of the physics models of AIMIP "
    "Phase 1 and by how far models differ over land (Sutton et al. 2007, doi:10.1029/2006GL028164)"
)


def training_text(config, weights, reference):
    """Paragraphs (Markdown) on what the model learned from, its networks, their training and weights.

    ``config``, ``weights``: as of ``card``. ``reference``: the data, as a sentence names them.
    """
    spans = {name: " to ".join(period) for name, period in config["periods"].items()}
    inputs = "No input but the state, the prescribed sea surface, the season and constant fields."
    weight = f"Weights: `checkpoint.zip`, {weights['size'] / 1e6:.1f} MB, SHA-256 `{weights['sha256']}`.\n"
    if config["model"]["checkpoint"]:
        return (
            f"The checkpoint was imported (`{config['model']['checkpoint']}`), not trained in this run: what it was "
            "trained on, and on which years, does not follow from the periods of `config.yaml`. Its settings are in "
            f"`checkpoint.zip`; sections model and training of `config.yaml` do not hold for it. {inputs}\n\n" + weight
        )
    guess = f"; the response to a uniform warming starts from {FIRST_GUESS}" if config["model"]["forced_modes"] else ""
    return (
        f"{_outside(config['periods'])}Trained on {reference}: weights and statistics from "
        f"{spans['training']}, choices between models by {spans['validation']}{guess}; no field of {spans['test']} was "
        f"read before the evaluation. {inputs} Settings: `config.yaml`, sections model and training.\n\n"
        + _networks(config["model"])
        + "\n\n"
        + _optimization(config)
        + "\n\n"
        + weight
    )


def _outside(periods):
    """The mark of training that read months which AIMIP does not allow; empty if it read none."""
    spans = [
        f"{what} read {' to '.join(periods[name])}"
        for name, what in (("training", "weights and statistics"), ("validation", "choices between models"))
        if periods[name][0] < PROTOCOL_TRAINING[0] or periods[name][1] > PROTOCOL_TRAINING[1]
    ]
    return OUTSIDE.format(allowed=" to ".join(PROTOCOL_TRAINING), spans=", and ".join(spans)) if spans else ""


def _networks(model):
    """One paragraph on the networks, from the config's section model."""
    if model["sampler"] == "ancestral":
        sampler = f"the ancestral sampler in {model['diffusion_steps']} steps"
    else:
        sampler = f"the second-order sampler in {model['evaluations']} evaluations of the denoiser"
    start = "the mean" if model["initial_state"] == "mean" else "their own draws"
    noise = f"noise with the covariance of {model['noise_modes']} patterns" if model["noise_modes"] else "white noise"
    residual = (
        " Variance that the decoded months of a free run of the training period lack, by place, season and spherical "
        "degree, is added to every month as noise, correlated between fields and places and red in time, and variance "
        "beyond the data's is scaled away: small scales are drawn, not resolved. Global means that vary more between "
        "years than the data's are held to these, of precipitation and humidity by a factor."
        if model["residual_noise"]
        else ""
    )
    response = (
        f"A response to {model['forced_modes']} amplitudes of the sea surface temperature, and to it and sea ice at "
        "each place, linear but for bends near the mean temperature of the tropical sea, is fitted before the "
        "networks train. A uniform warming of the sea reaches the fields through it alone, as one map that is the same "
        "in every month, before fields such as precipitation are transformed back; where the training months do not "
        "tell it, it stays the first guess. "
        if model["forced_modes"]
        else ""
    )
    return (
        "A conditional spectral variational autoencoder maps the state of a month to "
        f"{model['latent_channels']} latent channels on a grid {model['squeeze']} times coarser; a diffusion model "
        "draws the latent of the next month. Ranks of the spectral operators: "
        f"encoder {model['encoder_rank']}, decoder {model['decoder_rank']}, denoiser {model['denoiser_rank']}; "
        f"{model['hidden']} channels in the pointwise networks. {response}Each month is drawn from {noise} by "
        f"{sampler}. Members start from {start} of the posterior of the first month.{residual}"
    )


def _optimization(config):
    """One paragraph on the training, from the config's section training."""
    training, reference = config["training"], config["normalize"]["reference"]
    rate = "falling by half a cosine" if training["decay"] == "cosine" else "constant"
    weights = {
        key.removesuffix("_weight"): training[key]
        for key in ("reconstruction_weight", "diffusion_weight", "predicted_weight", "kl_weight", "latent_weight")
    }
    taken = "monthly climatology of each cell" if reference == "climatology" else "mean of the channel"
    average = (
        f"The weights are averages with decay {training['average']:g} per step. "
        if training["average"]
        else "The weights are those of the last step. "
    )
    offset = (
        f"After training, the mean departure of a free run of {training['offset_members']} members, in pairs of "
        "opposite noise, over the training period from the data, in each calendar month, is taken from the decoded "
        "fields. "
        if training["offset_members"]
        else ""
    )
    chosen = (
        f"Of {training['candidates']} kept weights those are used that have the best fair CRPS in a free run of "
        f"{training['validation_members']} members over the validation months. "
        if training["candidates"] > 1 and training["validation_members"]
        else "The weights with the lowest loss of one step over the validation months are used. "
    )
    return (
        f"Fields are standardized: the {taken} is taken away, and one standard deviation per channel divides. Trained "
        f"for {training['epochs']} epochs in batches of {training['batch']} pairs of months by AdamW, learning rate "
        f"{training['learning_rate']:g} ({rate}), weight decay {training['weight_decay']:g}; weights of the loss: "
        f"{', '.join(f'{name} {value:g}' for name, value in weights.items())}. {average}{chosen}{offset}"
        f"Seed {config['seed']}."
    )
