import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { z } from 'zod'

const valueSchema = z
  .union([
    z.object({ stringValue: z.string() }).transform(({ stringValue }) => stringValue),
    z.object({ intValue: z.union([z.number(), z.string()]) }).transform(({ intValue }) => Number(intValue)),
    z.object({ doubleValue: z.number() }).transform(({ doubleValue }) => doubleValue),
    z.object({ boolValue: z.boolean() }).transform(({ boolValue }) => boolValue),
    z.unknown().transform(() => undefined),
  ])
  .optional()
const attributesSchema = z
  .array(z.object({ key: z.string(), value: valueSchema }))
  .default([])
  .transform((list) => Object.fromEntries(list.map(({ key, value }) => [key, value])))
const spanSchema = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  kind: z.number(),
  attributes: attributesSchema,
  events: z.array(z.object({ name: z.string(), attributes: attributesSchema })).default([]),
  status: z.object({ code: z.number().optional(), message: z.string().optional() }).optional(),
})
const requestSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: attributesSchema }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
})

/** A span as it came, and the node that sent it. */
export type CollectedSpan = z.output<typeof spanSchema> & { readonly node: unknown }

async function readBody(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

/** What takes traces by OTLP over HTTP with JSON, and keeps them. */
export async function createTraceCollector() {
  const bodies: string[] = []
  const spans: CollectedSpan[] = []
  const headers: IncomingMessage['headers'][] = []
  let status = 200
  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      if (status === 200) {
        bodies.push(body)
        headers.push(request.headers)
        for (const { resource, scopeSpans } of requestSchema.parse(JSON.parse(body)).resourceSpans) {
          const node = resource.attributes['service.instance.id']
          for (const scope of scopeSpans) spans.push(...scope.spans.map((span) => ({ ...span, node })))
        }
      }
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`,
    spans,
    bodies,
    headers,
    named: (name: string) => spans.filter((span) => span.name === name),
    answerWith: (code: number) => (status = code),
  }
}
