/** The part of sodium-universal that we use; it ships no types. */
declare module 'sodium-universal' {
  const sodium: {
    /** BLAKE2b of `input` into `output`, keyed when `key` (16–64 bytes) is given. */
    crypto_generichash(output: Buffer, input: Uint8Array, key?: Buffer): void
    crypto_generichash_batch(output: Buffer, inputs: readonly Uint8Array[], key?: Buffer): void
    crypto_kdf_derive_from_key(subkey: Buffer, subkeyId: number, context: Buffer, key: Buffer): void
    /** Ed25519 key pair of a 32-byte seed. */
    crypto_sign_seed_keypair(publicKey: Buffer, secretKey: Buffer, seed: Buffer): void
    /** Ed25519 signature of `message` into `signature` (64 bytes). */
    crypto_sign_detached(signature: Buffer, message: Buffer, secretKey: Buffer): void
    crypto_sign_verify_detached(signature: Buffer, message: Buffer, publicKey: Buffer): boolean
    /** Whether a key is a canonical point of the prime-order subgroup. */
    crypto_core_ed25519_is_valid_point(point: Buffer): boolean
    /** Argon2id of `password` into `output`; takes `memoryBytes` while it runs, off the main thread. */
    crypto_pwhash_async(
      output: Buffer,
      password: Buffer,
      salt: Buffer,
      operations: number,
      memoryBytes: number,
      algorithm: number,
    ): Promise<void>
    readonly crypto_pwhash_ALG_ARGON2ID13: number
    readonly crypto_pwhash_SALTBYTES: number
    readonly crypto_kdf_KEYBYTES: number
    readonly crypto_kdf_CONTEXTBYTES: number
  }
  export default sodium
}
