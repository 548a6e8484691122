import type { z } from 'zod'

/** Every bound of the gateway. Tests shorten some; a node has no reason to. */
export interface GatewayLimits {
  /** Bytes of one request's body: a prompt of the longest kind, with every character escaped, fits. */
  readonly bodyBytesMax: number
  /** Bytes of all bodies that are being received. */
  readonly bodiesBytesMax: number
  readonly headerBytesMax: number
  readonly connectionsMax: number
  /** Milliseconds until a connection's headers, and a whole request, must have come. */
  readonly headersMs: number
  readonly requestMs: number
  /** Milliseconds an idle connection is kept. */
  readonly keepAliveMs: number
  /** Milliseconds between two looks at connections that are late. */
  readonly lookMs: number
  /** Milliseconds that what was sent may lie unread. */
  readonly readerMs: number
  /** Milliseconds of silence after which a stream says that it is still there. */
  readonly heartbeatMs: number
  /** Answers that one call may ask for: choices times prompts. */
  readonly choicesMax: number
}

export const defaultGatewayLimits: GatewayLimits = {
  bodyBytesMax: 4 * 1024 * 1024,
  bodiesBytesMax: 64 * 1024 * 1024,
  headerBytesMax: 16 * 1024,
  connectionsMax: 1_024,
  headersMs: 10_000,
  requestMs: 60_000,
  keepAliveMs: 65_000,
  lookMs: 5_000,
  readerMs: 60_000,
  heartbeatMs: 20_000,
  choicesMax: 8,
}

/** What the answers about the mesh look like, for the OpenAPI document: whoever gives them says so. */
export interface MeshSchemas {
  readonly status: z.ZodType
  readonly workers: z.ZodType
  readonly requests: z.ZodType
  readonly why: z.ZodType
  readonly scores: z.ZodType
  readonly whyScore: z.ZodType
  readonly credit: z.ZodType
  /** A model of the library, and one that is offered to others. */
  readonly libraryModel: z.ZodType
  readonly seed: z.ZodType
  readonly pullProgress: z.ZodType
  readonly sourceFailure: z.ZodType
  readonly pulledModel: z.ZodType
}

export interface GatewaySettings {
  /** Address to listen on, and its port; 0 takes a free one. */
  readonly host: string
  readonly port: number
  /** Any of them opens the gateway; none: it is open to this machine. */
  readonly keys: readonly string[]
  /** Web pages, by origin, whose scripts may use the gateway. */
  readonly origins: readonly string[]
  readonly version: string
  readonly schemas: MeshSchemas
  /** Where the built console lies, if it was built. */
  readonly consoleDir?: string | undefined
  readonly limits?: Partial<GatewayLimits> | undefined
}
