import { isAbsolute, resolve } from 'node:path'
import type { ModelManifest, ModelSource } from '../../../protocol/models/index.ts'
import type { CoreExchange } from '../seeding/core-exchange.ts'
import { LocalFileSource } from './file.ts'
import { createHfSource, type HfOptions } from './hf.ts'
import { HttpSource } from './http.ts'
import { type IpfsOptions, IpfsSource } from './ipfs-gateway.ts'
import { PeersSource } from './peers.ts'
import type { FileSource } from './source.ts'

export interface SourceOptions {
  /** Absent: peers cannot be asked. */
  readonly exchange?: CoreExchange | undefined
  readonly hf?: HfOptions | undefined
  readonly ipfs?: IpfsOptions | undefined
  /** Milliseconds that a server may keep silent. */
  readonly stallMs?: number | undefined
  /** Folder that relative paths start from: that of the manifest. */
  readonly folder?: string | undefined
}

/** The sources of a manifest, in its order. */
export const createSources = (manifest: ModelManifest, options: SourceOptions): readonly FileSource[] =>
  manifest.sources.map((source) => createSource(source, manifest, options))

function createSource(
  source: ModelSource,
  { artifact }: ModelManifest,
  { exchange, hf, ipfs, stallMs, folder = '.' }: SourceOptions,
): FileSource {
  switch (source.kind) {
    case 'peers':
      return new PeersSource(exchange, artifact.core)
    case 'hf':
      return createHfSource(source, { stallMs, ...hf })
    case 'https':
      return new HttpSource(source.url, { stallMs })
    case 'ipfs':
      return new IpfsSource(source, { stallMs, ...ipfs })
    case 'file':
      return new LocalFileSource(
        isAbsolute(source.path) ? source.path : resolve(folder, source.path),
        artifact.bytes,
      )
  }
}
