"""Train and evaluate VidEoMT: a simulated robot camera, data sets, losses, trainer and metrics."""
