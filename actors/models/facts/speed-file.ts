import { z } from 'zod'
import { writeFileAtomically } from '../../files/atomic-file.ts'
import { readSmallFile } from '../../files/small-file.ts'
import { afterAnswer, type MeasuredSpeed } from '../../../machines/models/speed.ts'
import { modelHashSchema, type ModelHash } from '../../../protocol/index.ts'

const schema = z
  .array(
    z.object({
      hash: modelHashSchema,
      id: z.string().min(1).max(128),
      bytes: z.number().min(1),
      tokensPerSecond: z.number().min(0),
    }),
  )
  .max(1_000)
const bytesMax = 512 * 1024
/** The ones that ran last. */
const kept = 500
/** Milliseconds between two writes: what is lost in a crash is measured again. */
const saveMs = 30_000

/** How fast the models of this machine answered, in a file beside them. One that cannot be read says nothing. */
export class SpeedFile {
  readonly #path: string
  readonly #now: () => number
  #known: Promise<Map<ModelHash, MeasuredSpeed>> | undefined
  #savedMs = -Infinity
  #isDirty = false

  /** @param now milliseconds of any steady clock */
  constructor(path: string, now: () => number = () => performance.now()) {
    this.#path = path
    this.#now = now
  }

  async list(): Promise<readonly MeasuredSpeed[]> {
    // Another process may have written it.
    if (!this.#isDirty) this.#known = undefined
    return [...(await this.#load()).values()]
  }

  /** One answer, with the time of its prompt. Never rejects: a speed is not worth a failure. */
  async note(model: Pick<MeasuredSpeed, 'hash' | 'id' | 'bytes'>, tokens: number, ms: number): Promise<void> {
    const known = await this.#load()
    const tokensPerSecond = afterAnswer(known.get(model.hash)?.tokensPerSecond, tokens, ms)
    if (tokensPerSecond === undefined) return
    // The last one stands last.
    known.delete(model.hash)
    known.set(model.hash, { hash: model.hash, id: model.id, bytes: model.bytes, tokensPerSecond })
    this.#isDirty = true
    if (this.#now() - this.#savedMs >= saveMs) await this.save()
  }

  async save(): Promise<void> {
    if (!this.#isDirty) return
    this.#isDirty = false
    this.#savedMs = this.#now()
    const speeds = [...(await this.#load()).values()].slice(-kept)
    await writeFileAtomically(this.#path, JSON.stringify(speeds)).catch(() => undefined)
  }

  #load(): Promise<Map<ModelHash, MeasuredSpeed>> {
    return (this.#known ??= readSmallFile(this.#path, bytesMax).then(
      (text) => toMap(text),
      () => new Map(),
    ))
  }
}

function toMap(text: string): Map<ModelHash, MeasuredSpeed> {
  try {
    return new Map(schema.parse(JSON.parse(text)).map((speed) => [speed.hash, speed]))
  } catch {
    return new Map()
  }
}
