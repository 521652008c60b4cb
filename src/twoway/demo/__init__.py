"""The demonstration: a whole deployment on loopback, and a play in six steps on it.

    ground        an empty folder and free ports
    deployment    the folder: an authority, identities, keys, policies, configuration files
    processes     the actors, each in a process of its own
    party         somebody who speaks to them without the subscriber's help
    play          steps in order, each of which shows something or fails
    steps         what is shown, each with what must be seen
    narrator      how it is told
    stage         all of it, in order

Everything that it shows is really sent and really decided; a step that does not show what it should fails.
"""

from twoway.demo.deployment import Deployment, deploy
from twoway.demo.narrator import JSONNarrator, Narrator, PlainNarrator
from twoway.demo.play import StepFailed
from twoway.demo.stage import perform
from twoway.demo.steps import STEPS

__all__ = [
    "STEPS",
    "Deployment",
    "JSONNarrator",
    "Narrator",
    "PlainNarrator",
    "StepFailed",
    "deploy",
    "perform",
]
