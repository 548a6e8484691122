import { Readable } from 'node:stream'
import type { ByeFrame } from '../../protocol/inspection.ts'
import type { Inspection, InspectorPort } from './inspector.port.ts'
import { toComment, toEvent } from './sse.ts'

/** Bytes that wait for a watcher who reads slowly; what comes beyond is dropped, and it is told anew later. */
const waitingBytesMax = 1024 * 1024

export interface InspectionStream {
  readonly readable: Readable
  /** After what was written before; says that nothing more comes. */
  end(): void
}

/** What happens, as server-sent events. Undefined when nobody else may watch. */
export function openInspection(inspector: InspectorPort, heartbeatMs: number): InspectionStream | undefined {
  let inspection: Inspection | undefined
  let isOver = false
  const stream = new Readable({
    highWaterMark: 64 * 1024,
    // The reader has taken all or nearly all of what there was.
    read: () => inspection?.resume(),
    destroy: (error, done) => {
      isOver = true
      clearInterval(heartbeat)
      inspection?.close()
      done(error)
    },
  })
  const heartbeat = setInterval(() => {
    if (!isOver && stream.readableLength === 0) stream.push(toComment('still here'))
  }, heartbeatMs).unref()
  const bye: ByeFrame = { type: 'bye' }
  const end = (): void => {
    if (isOver) return
    isOver = true
    stream.push(toEvent(bye))
    stream.push(null)
  }
  inspection = inspector.watch({
    take: (json, { type }) => {
      if (isOver || stream.readableLength > waitingBytesMax) return false
      if (type === 'bye') end()
      else stream.push(`data: ${json}\n\n`)
      return true
    },
  })
  if (inspection) return { readable: stream, end }
  stream.destroy()
  return undefined
}
