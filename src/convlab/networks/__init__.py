"""Networks in use: can one be built, what does it cost, what does a trained one predict."""
