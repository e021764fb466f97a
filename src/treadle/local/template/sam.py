"""Serverless resources to CloudFormation, by AWS's own translator.

Owns calling aws-sam-translator without an account: it works offline. Must never see a local path (`files` hides them).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final, cast

from treadle.language.scope import Json
from treadle.local.errors import TemplateError
from treadle.local.shapes import fields, items, listed

SERVERLESS: Final = "AWS::Serverless-2016-10-31"
EXTENSIONS: Final = "AWS::LanguageExtensions"


def transforms(template: Mapping[str, Json]) -> list[str]:
    """The transforms that a template declares."""
    declared = listed(template.get("Transform"))
    return [str(fields(each).get("Name", each)) for each in declared]


def translate(template: dict[str, Json], parameters: Mapping[str, Json], region: str) -> dict[str, Json]:
    """A template of CloudFormation's own resources. Raises TemplateError with all that the translator found."""
    # Heavy, and a template without Serverless resources needs none of it.
    from boto3.session import Session
    from samtranslator.model.exceptions import InvalidDocumentException  # pyright: ignore[reportMissingTypeStubs]
    from samtranslator.parser.parser import Parser  # pyright: ignore[reportMissingTypeStubs]
    from samtranslator.translator.translator import Translator  # pyright: ignore[reportMissingTypeStubs]
    from samtranslator.utils import py27hash_fix as hashes  # pyright: ignore[reportMissingTypeStubs]

    given = copy.deepcopy(template)
    values = {name: ",".join(items(value)) if isinstance(value, list) else value for name, value in parameters.items()}
    # Names of deployments contain a hash that depends on it.
    cast("Any", hashes).to_py27_compatible_template(given, values)
    translator = cast("Any", Translator)(None, Parser(), boto_session=Session(region_name=region))
    try:
        made = translator.translate(given, parameter_values=values)
    except InvalidDocumentException as error:
        causes = cast("list[Any]", getattr(error, "causes", None) or [error])
        raise TemplateError(*(f"{cause.message}" for cause in causes)) from None
    return cast("dict[str, Json]", cast("Any", hashes).undo_mark_unicode_str_in_template(made))
