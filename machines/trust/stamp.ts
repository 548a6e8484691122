/** How many bits at the start of a hash are 0. */
export function leadingZeroBits(hash: Uint8Array): number {
  let bits = 0
  for (const byte of hash) {
    // `Math.clz32` counts in 32 bits, of which a byte leaves the first 24 empty.
    const zeros = Math.clz32(byte) - 24
    bits += zeros
    if (zeros < 8) break
  }
  return bits
}

/**
 * Whether a hash proves the work asked for: on average one in 2^bits does. The hash is an Argon2id hash for an
 * identity's stamp, a BLAKE2b hash for a request's effort; making it again is left to the caller. An empty hash proves
 * nothing, unless nothing is asked for.
 */
export function isStampEnough(hash: Uint8Array, bits: number): boolean {
  return leadingZeroBits(hash) >= bits
}
