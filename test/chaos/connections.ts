import type { NoiseStream } from 'hyperswarm'
import Protomux from 'protomux'

/** Hears of every connection of this process that carries messages. */
export function watchConnections(opened: (stream: NoiseStream) => void): void {
  const from = Protomux.from.bind(Protomux)
  Protomux.from = (stream) => {
    opened(stream)
    return from(stream)
  }
}
