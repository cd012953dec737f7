"""The weather: real servers start, serve, end and fork around a project that triggers executions.

``python -m tests.weather`` goes through all scenes, ``python -m tests.weather gunicorn uvicorn``
through some; ``tests/test_weather.py`` is the short form of those that need no server installed.
"""
