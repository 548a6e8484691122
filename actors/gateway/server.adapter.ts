import { fromCallback } from 'xstate'
import type { GatewayFact, GatewayOrder } from '../../machines/gateway/index.ts'
import { toQMeshError } from '../../protocol/index.ts'
import { createHttpServer, type HttpServerOptions } from './http-server.ts'
import { toListenError } from './listen-errors.ts'

/**
 * The world of `gatewayMachine`, to be given by `provide`: an HTTP server that is open from the start of the actor to
 * its end. One that is started anew waits until its forerunner has given the port back.
 *
 * @param closings servers that are being closed, for whoever has to wait for them
 */
export function createServerActor(options: HttpServerOptions, closings: Set<Promise<void>>) {
  return fromCallback<GatewayOrder>(({ sendBack, receive }) => {
    let isOver = false
    const tell = (fact: GatewayFact): void => {
      if (!isOver) sendBack(fact)
    }
    const { host, port } = options.settings
    const http = createHttpServer(options)
    let closed: Promise<void> | undefined
    const open = async (): Promise<void> => {
      await Promise.all(closings)
      if (closed) return
      await http.server.listen({ host, port })
      const address = http.server.server.address()
      const opened = typeof address === 'object' && address ? address.port : port
      tell({ type: 'server.opened', address: { host, port: opened } })
    }
    const opening = open().catch((error: unknown) =>
      tell({ type: 'server.failed', error: toListenError(error, { host, port }) }),
    )
    const close = (): Promise<void> => {
      if (!closed) {
        // The framework closes nothing of a port that is being opened, which would then be open for ever.
        const closing = opening
          .then(() => http.server.close())
          .catch((error: unknown) => options.onDefect(toQMeshError(error)))
        closed = closing.finally(() => closings.delete(closing))
        closings.add(closing)
      }
      return closed
    }
    http.server.server.on('error', (error) => {
      if (http.server.server.listening) tell({ type: 'server.failed', error: toQMeshError(error) })
    })
    receive((order) => {
      if (order.type === 'server.drain') void http.drain().then(() => tell({ type: 'server.idle' }))
      else void close().then(() => tell({ type: 'server.closed' }))
    })
    return () => {
      isOver = true
      void close()
    }
  })
}
