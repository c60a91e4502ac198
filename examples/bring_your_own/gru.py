"""A recurrent noise reducer of 95,297 parameters, as hearing-aid studies use them: log-Mel frames → ratio mask."""

import keras
from keras import layers


def noise_reducer(inputs, outputs, features=64, units=128):
    """Each frame through one dense layer, the frames through a GRU, its last state to the mask of the current frame.

    inputs: (frames, bins) of a window; outputs: how many estimates the study's target has per window.
    """
    frames = keras.Input(inputs, name="log_mel")
    x = layers.TimeDistributed(layers.Dense(features, activation="relu"), name="features")(frames)
    x = layers.GRU(units, name="memory")(x)
    mask = layers.Dense(outputs, activation="sigmoid", name="mask")(x)
    return keras.Model(frames, mask, name="gru_noise_reducer")
