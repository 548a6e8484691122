/** The part of sodium-universal that we use; it ships no types. */
declare module 'sodium-universal' {
  const sodium: {
    /** BLAKE2b of `input` into `output`, keyed when `key` (16–64 bytes) is given. */
    crypto_generichash(output: Buffer, input: Uint8Array, key?: Buffer): void
    crypto_generichash_batch(output: Buffer, inputs: readonly Uint8Array[], key?: Buffer): void
    crypto_kdf_derive_from_key(subkey: Buffer, subkeyId: number, context: Buffer, key: Buffer): void
    /** Ed25519 key pair of a 32-byte seed. */
    crypto_sign_seed_keypair(publicKey: Buffer, secretKey: Buffer, seed: Buffer): void
    readonly crypto_kdf_KEYBYTES: number
    readonly crypto_kdf_CONTEXTBYTES: number
  }
  export default sodium
}
