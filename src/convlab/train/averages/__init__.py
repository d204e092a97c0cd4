"""Averages of the weights over the steps: a file for each, `registry` with their names.

They are what is validated and kept in place of the weights as trained.
"""
