"""Do we compute what others do, what we did before, and the same on other processors?"""
