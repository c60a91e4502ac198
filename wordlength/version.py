"""The version, told by the sources themselves: on a cluster they may be others than those installed there."""

VERSION = "0.1.0"
