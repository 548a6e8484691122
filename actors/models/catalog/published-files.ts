import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import type { PeerId } from '../../../protocol/index.ts'
import {
  type CatalogDocument,
  decodeCatalog,
  encodeCatalog,
  modelLimits,
} from '../../../protocol/models/index.ts'
import { briefly } from '../store/model-lock.ts'

/** A catalog on the disk, by its name. */
export interface PublishedFile {
  readonly publisher: PeerId
  readonly version: number
  readonly path: string
}

const namePattern = /^([0-9a-f]{64})\.(\d{1,10})\.catalog$/

/**
 * The newest catalog of each publisher, as `<publisher>.<version>.catalog` in its canonical encoding. The version stands in
 * the name: a file that is damaged still tells below which version none is taken. Several processes may share the folder.
 */
export class PublishedFiles {
  readonly #dir: string

  private constructor(dir: string) {
    this.#dir = dir
  }

  static async open(dir: string): Promise<PublishedFiles> {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    return new PublishedFiles(dir)
  }

  /** The newest of each publisher. */
  async list(): Promise<readonly PublishedFile[]> {
    const newest = new Map<PeerId, PublishedFile>()
    for (const file of await this.#all()) {
      if (file.version >= (newest.get(file.publisher)?.version ?? 0)) newest.set(file.publisher, file)
    }
    return [...newest.values()]
  }

  /** Its bytes, as they are sent; undefined when there is none. */
  async bytes(publisher: PeerId): Promise<Buffer | undefined> {
    const file = (await this.list()).find((one) => one.publisher === publisher)
    if (!file) return undefined
    const { size } = await stat(file.path)
    return size > modelLimits.catalogBytesMax ? undefined : readFile(file.path)
  }

  /** @throws QMeshError `QM_MANIFEST_INVALID` for a damaged file */
  async read(publisher: PeerId): Promise<CatalogDocument | undefined> {
    const bytes = await this.bytes(publisher)
    return bytes && decodeCatalog(bytes)
  }

  /**
   * Keeps a catalog and removes those before it.
   *
   * @param take decides, with nobody else writing meanwhile, what is to be kept; undefined leaves all as it is
   */
  async change(take: () => Promise<CatalogDocument | undefined>): Promise<void> {
    const leave = await briefly(join(this.#dir, 'writing.lock'))
    try {
      const document = await take()
      if (!document) return
      const { publisher, version } = document
      const path = join(this.#dir, `${publisher}.${version}.catalog`)
      await writeFileAtomically(path, encodeCatalog(document))
      for (const file of await this.#all())
        if (file.publisher === publisher && file.version < version) await rm(file.path, { force: true })
    } finally {
      await leave()
    }
  }

  async #all(): Promise<readonly PublishedFile[]> {
    return (await readdir(this.#dir)).flatMap((name) => {
      const [, publisher, version] = namePattern.exec(name) ?? []
      if (publisher === undefined) return []
      return [{ publisher, version: Number(version), path: join(this.#dir, name) }]
    })
  }
}
