import type { ModelSource } from '../../../protocol/models/index.ts'
import { HttpSource } from './http.ts'
import { type FetchContext, type FileSource, type Probe, SourceFailed } from './source.ts'

export const ipfsGateways: readonly string[] = ['https://dweb.link', 'https://ipfs.io']

export interface IpfsOptions {
  /** Asked one after the other. */
  readonly gateways?: readonly string[] | undefined
  readonly stallMs?: number | undefined
}

/**
 * A file of IPFS by way of a gateway. A gateway could send anything: like a web server's, its bytes are believed when the
 * whole file has its hash.
 */
export class IpfsSource implements FileSource {
  readonly name: string
  readonly isProving = false
  readonly isImmutable = true
  readonly #gateways: readonly FileSource[]

  constructor(
    { cid, path }: Extract<ModelSource, { kind: 'ipfs' }>,
    { gateways = ipfsGateways, stallMs }: IpfsOptions = {},
  ) {
    const inner = path === undefined ? '' : `/${path.split('/').map(encodeURIComponent).join('/')}`
    this.name = `ipfs:${cid}${inner}`
    this.#gateways = gateways.map((gateway) => {
      const url = `${gateway.replace(/\/+$/, '')}/ipfs/${cid}${inner}`
      return new HttpSource(url, { name: `${this.name} at ${new URL(gateway).host}`, stallMs })
    })
  }

  probe(signal: AbortSignal): Promise<Probe> {
    return this.#any((gateway) => gateway.probe(signal))
  }

  fetch(context: FetchContext): Promise<void> {
    // The same content has another ETag at another gateway; its address is its hash, so none is needed.
    const shared = { ...context, memo: undefined, remember: () => Promise.resolve() }
    return this.#any((gateway) => gateway.fetch(shared))
  }

  async #any<Value>(ask: (gateway: FileSource) => Promise<Value>): Promise<Value> {
    const failures: SourceFailed[] = []
    for (const gateway of this.#gateways) {
      try {
        return await ask(gateway)
      } catch (error) {
        if (!(error instanceof SourceFailed)) throw error
        failures.push(error)
      }
    }
    throw new SourceFailed(failures.map(({ message }) => message).join('; ') || 'no gateway is configured', {
      isLasting: failures.every(({ isLasting }) => isLasting),
    })
  }
}
