import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import sodium from 'sodium-universal'
import { z } from 'zod'
import { peerIdSchema, QMeshError, toQMeshError, type PeerId } from '../protocol/index.ts'
import type { NetworkId } from '../protocol/trust/index.ts'
import { createFileAtomically } from '../actors/files/atomic-file.ts'
import { NotASmallFileError, readSmallFile } from '../actors/files/small-file.ts'

export const identityFileName = 'identity'

const seedBytes = 32
const context = Buffer.from('qmesh-id')

/**
 * What the root seed is used for: never one secret for two algorithms, so each use has its own key. The numbers are
 * part of every identity there is: new uses get new ones, old ones never change.
 */
const uses = { noise: 1, log: 2, vrf: 3 } as const
export type KeyUse = keyof typeof uses

export interface KeyPair {
  readonly publicKey: Buffer
  readonly secretKey: Buffer
}

/** Who this node is. The seed stays inside: neither a log line nor `JSON.stringify` shows it. */
export class Identity {
  /** The public key that connections prove, as 64 hex characters. */
  readonly id: PeerId
  readonly #root: Buffer

  /** @param root 32 bytes from which every key is derived. */
  constructor(root: Uint8Array) {
    if (root.byteLength !== seedBytes) throw new RangeError(`a root seed has ${seedBytes} bytes`)
    this.#root = Buffer.from(root)
    this.id = this.noiseKeyPair().publicKey.toString('hex')
  }

  /** 32 bytes for one use: keyed BLAKE2b of the root seed. */
  deriveSeed(use: KeyUse): Buffer {
    const seed = Buffer.alloc(seedBytes)
    sodium.crypto_kdf_derive_from_key(seed, uses[use], context, this.#root)
    return seed
  }

  /** The Ed25519 key pair for HyperDHT, whose public key is the id; it signs what the node states about itself, too. */
  noiseKeyPair(): KeyPair {
    return toKeyPair(this.deriveSeed('noise'))
  }

  /** Signs the log of one network. Each network has its own, so that a log of one is never a fork of another's. */
  logKeyPair(networkId: NetworkId): KeyPair {
    const seed = Buffer.alloc(seedBytes)
    sodium.crypto_generichash(seed, Buffer.from(networkId, 'hex'), this.deriveSeed('log'))
    return toKeyPair(seed)
  }

  /** For lotteries whose outcome its holder can prove and nobody else foresee. */
  vrfKeyPair(): KeyPair {
    return toKeyPair(this.deriveSeed('vrf'))
  }

  /** The content of the identity file. The id in it makes any damage to the seed show. */
  toFile(): string {
    return `${JSON.stringify({ version: 1, id: this.id, seed: this.#root.toString('hex') })}\n`
  }

  toJSON(): object {
    return { id: this.id }
  }

  [inspect.custom](): string {
    return `Identity ${this.id}`
  }
}

function toKeyPair(seed: Buffer): KeyPair {
  const publicKey = Buffer.alloc(32)
  const secretKey = Buffer.alloc(64)
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed)
  return { publicKey, secretKey }
}

/** An identity that lives as long as the process: for a client that asks once and leaves. */
export const createEphemeralIdentity = (): Identity => new Identity(randomBytes(seedBytes))

/** Bytes; a seed and an id are 200. */
export const identityFileBytesMax = 4_096

const fileSchema = z.object({
  version: z.literal(1),
  id: peerIdSchema,
  seed: z.string().regex(/^[0-9a-f]{64}$/),
})

/**
 * Reads the identity at `path`, or creates it the first time. An existing file is never written to.
 *
 * @throws QMeshError `QM_IDENTITY_EXPOSED`, `QM_IDENTITY_INVALID`, `QM_DATA_DIR_UNUSABLE`
 */
export async function loadIdentity(path: string): Promise<Identity> {
  const existing = await readIdentity(path)
  if (existing) return existing
  const created = createEphemeralIdentity()
  try {
    await createFileAtomically(path, created.toFile())
    return created
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      const other = await readIdentity(path)
      if (other) return other
    }
    throw toQMeshError(error, 'QM_DATA_DIR_UNUSABLE')
  }
}

/**
 * The identity at `path`, or undefined when there is none.
 *
 * @throws QMeshError `QM_IDENTITY_EXPOSED`, `QM_IDENTITY_INVALID`, `QM_DATA_DIR_UNUSABLE`
 */
export async function readIdentity(path: string): Promise<Identity | undefined> {
  let text: string
  try {
    text = await readSmallFile(path, identityFileBytesMax, (mode) => {
      // Windows has no such bits: there the folder in the user's profile is what protects the file.
      if (process.platform === 'win32' || (mode & 0o077) === 0) return
      const bits = (mode & 0o777).toString(8).padStart(4, '0')
      throw new QMeshError(
        'QM_IDENTITY_EXPOSED',
        `${path} has mode ${bits}, so other users could become this node; run: chmod 600 ${path}`,
      )
    })
  } catch (error) {
    if (error instanceof QMeshError) throw error
    if (error instanceof NotASmallFileError) throw damaged(path)
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw toQMeshError(error, 'QM_DATA_DIR_UNUSABLE')
  }
  return parseIdentity(text, path)
}

function parseIdentity(text: string, path: string): Identity {
  const identity = identityFromFile(text)
  if (!identity) throw damaged(path)
  return identity
}

/** What `toFile` wrote; undefined for anything else. */
export function identityFromFile(text: string): Identity | undefined {
  try {
    const { seed, id } = fileSchema.parse(JSON.parse(text))
    const identity = new Identity(Buffer.from(seed, 'hex'))
    return identity.id === id ? identity : undefined
  } catch {
    // The cause is not kept: it could quote the seed.
    return undefined
  }
}

const damaged = (path: string): QMeshError =>
  new QMeshError(
    'QM_IDENTITY_INVALID',
    `${path} is damaged; restore it from a backup, or move it away to start as a new node`,
  )
