"""Each recorded exchange gives the stock client through the gateway what it gives without."""

import json
import warnings

import openai
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from cases import BASE_URL, FULL, KEY, MOCK_URL, mock, report

# The driver compares bytes at every cut; here the cut that drifts across event bounds will do.
CUTS = (1, 7, 37, 0) if FULL else (37,)


def outcome(client, body):
    """What the application gets: everything parsed, or the error with all that it carries."""
    got = []
    try:
        if body.get("stream"):
            stream = client.post(
                "/chat/completions",
                cast_to=ChatCompletionChunk,
                body=body,
                stream=True,
                stream_cls=Stream[ChatCompletionChunk],
            )
            for chunk in stream:
                got.append(chunk.to_dict(mode="json"))
        else:
            got.append(client.post("/chat/completions", cast_to=ChatCompletion, body=body).to_dict(mode="json"))
    except openai.APIStatusError as error:
        got.append([type(error).__name__, error.status_code, error.message, error.body])
    except openai.APIError as error:
        got.append([type(error).__name__, error.message, error.body])
    except Exception as error:
        got.append([type(error).__name__, str(error)])
    return got


def refused(result):
    """Whether the gateway refused the request for a field; the driver has the list of those."""
    last = result[-1] if result else None
    body = last[3] if isinstance(last, list) and len(last) == 4 else None
    return isinstance(body, dict) and body.get("code") == "field_refused"


def main():
    warnings.filterwarnings("ignore")
    direct = OpenAI(base_url=f"{MOCK_URL}/v1", api_key="direct", max_retries=0)
    through = OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0)
    for exchange in mock("exchanges")["exchanges"]:
        body = json.loads(exchange["request"])
        for cut in CUTS:
            mock("arm", {"id": exchange["id"], "step": cut})
            found = outcome(through, body)
            if refused(found):
                continue
            wanted = outcome(direct, body)
            why = None if found == wanted else f"wanted {wanted}\nfound  {found}"[:2000]
            report(f"{exchange['id']} in pieces of {cut}", why)


if __name__ == "__main__":
    main()
