import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { ApiError } from '../api-error.ts'

/** Nothing of another place is loaded, run or spoken to, and no other page may show this one in a frame. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/**
 * The page for people, at `/`. Its files hold nothing of this node and need no key; what the page then asks for does.
 *
 * @param folder where the built page lies, if it was built
 */
export function addConsoleRoutes(server: FastifyInstance, folder: string | undefined): void {
  const config = { isOpen: true }
  if (folder === undefined) {
    server.get('/', { config }, () => {
      throw new ApiError('The console is not built here: run "npm run build". The API is under /v1.', {
        status: 404,
        code: 'unknown_url',
      })
    })
    return
  }
  void server.register(fastifyStatic, { root: folder, serve: false })
  const send = (reply: FastifyReply, file: string): FastifyReply =>
    reply
      .headers({ 'content-security-policy': contentSecurityPolicy, 'referrer-policy': 'no-referrer' })
      .sendFile(file)
  server.get('/', { config }, (_request, reply) => send(reply, 'index.html'))
  server.get<{ Params: { file: string } }>('/console/:file', { config }, ({ params }, reply) =>
    send(reply, params.file),
  )
}
