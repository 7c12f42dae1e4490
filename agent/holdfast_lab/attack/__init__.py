"""``./dev attack`` and ``./dev soak``: what is hostile or scarce, against the agent that ships, in namespaces.

``neighbour.py``, ``local.py``, ``scarcity.py``, ``many.py`` and ``kills.py`` have the attacks, ``arena.py`` the place
and the verdict, ``disk.py`` runs the agent with a disk that fails, ``soak.py`` is the long run.
"""
