"""Are results the same as in other frameworks, as before a change, and on other processors?"""
