"""(b) The same loop, every record read into nested pydantic models, which a list keeps a fetch of a partition long.

So anybody would write it who has models of the event. The models are derived from our one definition of the event.
"""

import asyncio
import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, create_model
from typing_extensions import is_typeddict

from schemas.shipment_event import WireEvent
from tests.benchmarks.candidates.bare import consume
from tests.benchmarks.job import Job, Meter


def run(job: Job, meter: Meter) -> None:
    read = modelled(WireEvent).model_validate_json

    def keep(records: Sequence[Any]) -> None:
        _kept = [read(record.value) for record in records]

    asyncio.run(consume(job, meter, keep))


def modelled(stated: Any) -> Any:
    """A `TypedDict` -> the `BaseModel` with the same fields, and so on within it; any other type as it is."""
    origin, arguments = get_origin(stated), get_args(stated)
    if is_typeddict(stated):
        hints = get_type_hints(stated, include_extras=True)
        fields: Any = {name: (modelled(hint), None) for name, hint in hints.items()}
        model: type[BaseModel] = create_model(stated.__name__, __config__=stated.__pydantic_config__, **fields)
        return model
    if origin in (Union, types.UnionType):
        return Union[tuple(map(modelled, arguments))]  # noqa: UP007  of a tuple
    if origin is list:
        return types.GenericAlias(list, modelled(arguments[0]))
    if origin is Annotated:
        return Annotated[(modelled(arguments[0]), *arguments[1:])]
    return stated
