/** An event of a stream, or, by the name `comment`, what is written between them. */
export interface ServerEvent {
  readonly name: string
  readonly data: string
}

/** Reads server-sent events. `EventSource` could not send a key, and would not show comments. */
export async function* readEventStream(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent, void> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let buffer = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      buffer += decoder.decode(value, { stream: !done })
      const blocks = buffer.split('\n\n')
      buffer = blocks.pop() ?? ''
      for (const block of blocks) yield* toEvents(block)
      if (done) return
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

function* toEvents(block: string): Generator<ServerEvent> {
  let name = 'message'
  const data: string[] = []
  for (const line of block.split('\n')) {
    if (line.startsWith(':')) yield { name: 'comment', data: line.slice(1).trim() }
    else if (line.startsWith('event:')) name = line.slice(6).trim()
    else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
  }
  if (data.length > 0) yield { name, data: data.join('\n') }
}
