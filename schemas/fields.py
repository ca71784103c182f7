"""What is said of a field that cannot be: in words of our own, where pydantic would show a pattern, or name a class."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, ErrorDetails, core_schema


@dataclass(frozen=True, slots=True)
class Form:
    """Annotates a text: `Annotated[str, Form("^[A-Z]{2}$", "write two capital letters, such as IN")]`.

    Attributes:
        pattern: what the whole text must match, as JSON Schema tells it.
        advice: what to write, for whoever wrote otherwise.
    """

    pattern: str
    advice: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As the text's own, and then of this form."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """As the text's own, with the pattern."""
        return handler(core) | {"pattern": self.pattern}

    def _checked(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text, re.ASCII):
            raise ValueError(self.advice)
        return text


def advice_of(wrong: ErrorDetails) -> str:
    """What is said of a wrong field: a validator's own words, without pydantic's before them."""
    return wrong["msg"].removeprefix("Value error, ")
