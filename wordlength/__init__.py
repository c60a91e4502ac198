"""wordlength: hyperparameter search for quantization formats."""
