import { QMeshError } from '../../../protocol/index.ts'

/**
 * Words that a thread and the node share. `beats` moves whenever the thread gets on; `nativeCalls` counts calls into the
 * engine that have not returned. A thread must not be ended while there are any: the engine would find its environment
 * gone, and that aborts the whole process. So whoever ends a thread first forbids new calls, then waits for the old.
 */
export class VitalSigns {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array

  constructor(buffer = new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer
    this.#words = new Int32Array(buffer)
  }

  get beats(): number {
    return Atomics.load(this.#words, 0)
  }

  get isInNativeCode(): boolean {
    return Atomics.load(this.#words, 1) > 0
  }

  beat(): void {
    Atomics.add(this.#words, 0, 1)
  }

  /** From here on no call into the engine begins. */
  forbidNativeCode(): void {
    Atomics.store(this.#words, 2, 1)
  }

  /** Wraps one call into the engine; its return is a beat. @throws QMeshError `QM_ENGINE_CRASHED` once it is forbidden */
  async native<T>(call: () => Promise<T>): Promise<T> {
    this.#enter()
    try {
      return await call()
    } finally {
      this.#leave()
    }
  }

  /** The same for a call that blocks the thread. */
  nativeNow<T>(call: () => T): T {
    this.#enter()
    try {
      return call()
    } finally {
      this.#leave()
    }
  }

  #enter(): void {
    // Counted before the look, so that who forbids either is seen here or sees this call.
    Atomics.add(this.#words, 1, 1)
    if (Atomics.load(this.#words, 2) === 0) return
    Atomics.sub(this.#words, 1, 1)
    throw new QMeshError('QM_ENGINE_CRASHED', 'the inference thread is being ended')
  }

  #leave(): void {
    Atomics.sub(this.#words, 1, 1)
    this.beat()
  }
}
