import { createHash, timingSafeEqual } from 'node:crypto'
import { isIPv4 } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ApiError } from './api-error.ts'

/** Addresses that only this machine can reach. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Anybody may ask, without a key: it tells nothing of this node but that it is there. */
    readonly isOpen?: boolean
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Checks a key against all keys, in a time that tells neither which one was nearly right nor how long they are. */
export function createKeyCheck(keys: readonly string[]): (given: string) => boolean {
  const digests = keys.map(digest)
  return (given) => {
    const wanted = digest(given)
    let isKnown = false
    for (const known of digests) isKnown = timingSafeEqual(known, wanted) || isKnown
    return isKnown
  }
}

/** Lets in whoever may use the gateway: with a key where there are keys, otherwise what was sent to this machine by its name. */
export function guardAccess(
  server: FastifyInstance,
  { host, keys }: { readonly host: string; readonly keys: readonly string[] },
): void {
  const isKey = createKeyCheck(keys)
  server.addHook('onRequest', async (request) => {
    if (keys.length === 0) {
      checkHost(request, host)
      return
    }
    // A browser asks beforehand without its key; it learns nothing but whether its page may come.
    if (request.method === 'OPTIONS' || request.routeOptions.config.isOpen === true) return
    const given = toKey(request)
    if (given === undefined) {
      throw new ApiError(
        'This gateway needs an API key: send it as "Authorization: Bearer KEY" or "x-api-key: KEY".',
        { status: 401, type: 'authentication_error', code: 'missing_api_key' },
      )
    }
    if (!isKey(given)) {
      throw new ApiError('The API key is not one of this gateway.', {
        status: 401,
        type: 'authentication_error',
        code: 'invalid_api_key',
      })
    }
  })
}

function toKey({ headers }: FastifyRequest): string | undefined {
  const bearer = /^Bearer\s+(\S+)\s*$/i.exec(headers.authorization ?? '')?.[1]
  const plain = headers['x-api-key']
  return bearer ?? (typeof plain === 'string' && plain !== '' ? plain : undefined)
}

/**
 * A page from elsewhere can have its own name resolved to 127.0.0.1 and then speaks to this port as if it were its own
 * server; the name in `Host` is what gives it away.
 */
function checkHost({ headers }: FastifyRequest, ownHost: string): void {
  const name = toHostName(headers.host)
  if (name !== undefined && (isLoopback(name) || name === ownHost || name.endsWith('.localhost'))) return
  throw new ApiError(
    `This gateway answers only to its own name, not to "${(headers.host ?? '').slice(0, 80)}". ` +
      'To reach it under another one, give it keys (gatewayKeys).',
    { status: 403, type: 'permission_error', code: 'host_not_allowed' },
  )
}

/** `localhost:11500` → `localhost`, `[::1]:11500` → `::1`. */
function toHostName(header: string | undefined): string | undefined {
  const [, v6, name] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::\d{1,5})?$/i.exec(header ?? '') ?? []
  return (v6 ?? name)?.toLowerCase()
}
