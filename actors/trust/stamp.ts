import sodium from 'sodium-universal'
import { isStampEnough } from '../../machines/trust/index.ts'
import { QMeshError } from '../../protocol/index.ts'
import { Gate } from './gate.ts'

/** Hashes made at the same time in this process: each takes the memory asked for while it runs. */
const hashesMax = 2
/** Hashes that may wait for a place. */
const waitingMax = 64

const hashes = new Gate(hashesMax)
const makings = new Gate(1)

export interface StampOptions {
  /** Leading zero bits asked for; 2^bits hashes on average. */
  readonly bits: number
  /** Memory of one hash in KiB, 8 at least. */
  readonly memoryKb: number
  /** The first nonce that is tried; a search that was given up goes on where it was. 0 unless told. */
  readonly from?: number
}

export interface StampProgress {
  /** The nonce that was tried last, and how many were. */
  readonly nonce: number
  readonly tries: number
}

/**
 * What an identity costs: BLAKE2b-256(Argon2id(account ‖ nonce as 8 bytes, little-endian)), with the first 16 bytes
 * of BLAKE2b-256(account) as salt and one pass over the memory. Off the main thread; a few at a time, the others wait.
 *
 * @param accountId 64 hex characters
 * @param nonce a safe integer from 0 on
 * @throws QMeshError `QM_QUEUE_FULL` when too many wait, `RangeError` for a nonce or a memory out of bounds
 */
export async function hashStamp(accountId: string, nonce: number, memoryKb: number): Promise<Buffer> {
  if (!Number.isSafeInteger(nonce) || nonce < 0) throw new RangeError(`${nonce} is no nonce of a stamp.`)
  if (!Number.isSafeInteger(memoryKb) || memoryKb < 8) throw new RangeError(`${memoryKb} KiB are too few.`)
  if (hashes.waiting >= waitingMax) {
    throw new QMeshError('QM_QUEUE_FULL', `${waitingMax} stamps already wait to be checked.`)
  }
  const leave = await hashes.enter()
  try {
    return await hash(Buffer.from(accountId, 'hex'), nonce, memoryKb)
  } finally {
    leave?.()
  }
}

/** Whether a stamp was paid for. As slow as one hash: keep the answer. */
export async function isStampValid(
  accountId: string,
  nonce: number,
  { bits, memoryKb }: Pick<StampOptions, 'bits' | 'memoryKb'>,
): Promise<boolean> {
  return bits === 0 || isStampEnough(await hashStamp(accountId, nonce, memoryKb), bits)
}

/**
 * Looks for a nonce that makes a stamp. One search at a time in this process; `signal` ends it between two tries.
 *
 * @returns the nonce, a safe integer
 * @throws the reason of `signal`
 */
export async function makeStamp(
  accountId: string,
  { bits, memoryKb, from = 0 }: StampOptions,
  signal?: AbortSignal,
  onProgress?: (progress: StampProgress) => void,
): Promise<number> {
  if (bits === 0) return from
  const leave = await makings.enter(signal)
  try {
    for (let nonce = from; ; nonce++) {
      signal?.throwIfAborted()
      const stamp = await hashStamp(accountId, nonce, memoryKb)
      onProgress?.({ nonce, tries: nonce - from + 1 })
      if (isStampEnough(stamp, bits)) return nonce
    }
  } finally {
    leave?.()
  }
}

async function hash(account: Buffer, nonce: number, memoryKb: number): Promise<Buffer> {
  const salt = Buffer.allocUnsafe(32)
  sodium.crypto_generichash(salt, account)
  const password = Buffer.allocUnsafe(account.length + 8)
  password.set(account)
  password.writeBigUInt64LE(BigInt(nonce), account.length)
  const slow = Buffer.allocUnsafe(32)
  await sodium.crypto_pwhash_async(
    slow,
    password,
    salt.subarray(0, sodium.crypto_pwhash_SALTBYTES),
    1,
    memoryKb * 1_024,
    sodium.crypto_pwhash_ALG_ARGON2ID13,
  )
  const output = Buffer.allocUnsafe(32)
  sodium.crypto_generichash(output, slow)
  return output
}
