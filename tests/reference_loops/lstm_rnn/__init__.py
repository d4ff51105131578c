"""The plain recurrent network in place of the LSTM."""
