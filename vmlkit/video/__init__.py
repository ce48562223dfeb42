"""From a file of video to rows of features: decoding, encoders, and the passport that says how features were made."""
