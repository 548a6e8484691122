import { fromReply } from './api-error.ts'
import { askKey, currentKey } from './key.ts'

interface CallOptions {
  readonly method?: 'GET' | 'POST'
  readonly body?: object
  readonly signal?: AbortSignal | undefined
}

/**
 * Calls the node. One that wants a key gets the person's, who is asked for it until it is right.
 *
 * @throws ApiError for every other refusal; what `fetch` throws when nobody answers
 */
export async function call(path: string, options: CallOptions = {}): Promise<Response> {
  const { method = 'GET', body, signal } = options
  for (;;) {
    const key = currentKey()
    const reply = await fetch(path, {
      method,
      headers: {
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    })
    if (reply.ok) return reply
    if (reply.status !== 401) throw await fromReply(reply)
    await askKey(key)
    signal?.throwIfAborted()
  }
}

export async function getJson<Value>(path: string, signal?: AbortSignal): Promise<Value> {
  return (await call(path, { signal })).json() as Promise<Value>
}
