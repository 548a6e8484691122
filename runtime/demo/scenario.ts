import { createRandom } from '../../machines/selection/random.ts'
import type { DemoBoard } from './board.ts'
import type { DemoFacts, QuestionFacts } from './facts.ts'
import { orGone, until, type ClientName, type DemoMesh, type WorkerName } from './mesh.ts'
import { DemoQuestion, type QuestionNews } from './question.ts'
import { toPlace } from './screen-view.ts'
import type { DemoView } from './view.ts'

const heroes = ['fox', 'cat', 'bear', 'whale', 'owl', 'horse', 'mouse', 'rabbit'] as const
const shortQuestions = [
  'Who are you?',
  'hello',
  'Is QMesh free?',
  'What is a worker?',
  'What is a client?',
  'What is the capital of France?',
] as const

const story = (hero: string): string => `Tell me a story about a${/^[aeiou]/.test(hero) ? 'n' : ''} ${hero}`

const maxTokens = 96
/** Questions of each client. The stories, one for each slot, come first. */
const counts = { stories: 3, bronze: 3, silver: 1, master: 2 } as const
/** A worker says how busy it is at most once a second. */
const newsWithinMs = 2_500
const queueWithinMs = 4_000
/** The worker dies when this part of the answer is there. */
const killShare = 1 / 3
/** The longest that all questions together may take; what is not answered by then is counted as lost. */
const answersWithinMs = 20_000

export interface ScenarioOptions {
  readonly mesh: DemoMesh
  readonly board: DemoBoard
  readonly view: DemoView
  readonly seed: number
  readonly signal: AbortSignal
  /** When the demo began, by this process's clock. */
  readonly startedAtMs: number
}

/** Plays the demo on a mesh that stands, and measures it. @throws QMeshError `QM_CANCELLED` */
export async function playScenario(options: ScenarioOptions): Promise<DemoFacts> {
  const { mesh, board, view, seed, startedAtMs } = options
  const scenario = new Scenario(options)
  const crowd = await scenario.crowd()
  const [reference, stream] = await scenario.killedStream()
  board.look()
  const hostile = mesh.workers.find(({ isHonest }) => !isHonest)
  view.say('the end')
  return {
    seed,
    totalMs: performance.now() - startedAtMs,
    crowd,
    reference,
    stream,
    hostile: { requests: hostile?.requests ?? 0, shutOutBy: board.shutOutBy },
  }
}

class Scenario {
  readonly #options: ScenarioOptions
  readonly #random: () => number
  readonly #asked = new Map<ClientName, number>()
  readonly #told = new Set<DemoQuestion>()

  constructor(options: ScenarioOptions) {
    this.#options = options
    this.#random = createRandom(options.seed)
  }

  /** More questions than there are slots, a worker that lies in wait for them, and two of a Master that come last. */
  async crowd(): Promise<readonly QuestionFacts[]> {
    const { board, view, mesh, signal } = this.#options
    const heroes = this.#heroes()
    view.say(`Silver asks for ${counts.stories} stories at once: every slot is taken`)
    const stories = heroes.slice(0, counts.stories).map((hero) => this.#ask('silver', story(hero)))
    const honest = mesh.workers.filter(({ isHonest }) => isHonest)
    const bronzeClients = ['bronze-1', 'bronze-2'] as const
    // Only then does the one that says it is idle look best to everybody, and fails those who believe it.
    const looksBusy = (): boolean =>
      bronzeClients.every((client) =>
        honest.every((worker) => {
          const seen = board.seenBy(client, worker)
          return seen !== undefined && seen.slotsBusy >= seen.slots
        }),
      )
    await until(looksBusy, newsWithinMs, signal)
    view.say(
      `two Bronze clients ask ${counts.bronze} questions each; one worker says that it is idle, and it lies`,
    )
    const bronze = bronzeClients.flatMap((client) => this.#askShort(client, counts.bronze))
    const silver = this.#askShort('silver', counts.silver)
    const hasSettled = (): boolean => {
      const isUnderWay = bronze.some(
        ({ phase, workerId }) =>
          phase === 'searching' || phase === 'sent' || board.nameOf(workerId) === 'hostile',
      )
      return !isUnderWay
    }
    await until(hasSettled, queueWithinMs, signal)
    const waiting = bronze.filter(({ isWaiting }) => isWaiting)
    view.say(`${waiting.length} Bronze questions wait; now a Master comes with ${counts.master}`)
    const master = this.#askShort('master', counts.master)
    const crowd = [...stories, ...bronze, ...silver, ...master]
    await this.#answered(crowd)
    view.say(`${crowd.filter(({ result }) => result).length} of ${crowd.length} questions are answered`)
    return crowd.map((question) => this.#toFacts(question))
  }

  /** One question twice: undisturbed, and with its worker killed in the middle. */
  async killedStream(): Promise<readonly [QuestionFacts, QuestionFacts]> {
    const { board, view, mesh } = this.#options
    const prompt = story(this.#pick(heroes))
    view.say(`"${prompt}", greedy and undisturbed, so that there is something to compare with`)
    const reference = this.#ask('bronze-1', prompt)
    board.stream = reference
    await this.#answered([reference])
    view.detail(reference.text)
    const killAt = Math.max(1, Math.floor(reference.tokens.length * killShare))
    view.say(`the same question; its worker will be killed after ${killAt} tokens`)
    let isKilled = false
    const stream = this.#ask('bronze-1', prompt, (question) => {
      if (isKilled || question.tokens.length < killAt) return
      isKilled = true
      const victim = mesh.workers.find(({ id }) => id === question.workerId)
      victim?.kill()
      view.say(`kill -9 ${victim?.pid}: ${victim?.name} is dead after ${question.tokens.length} tokens`)
    })
    board.stream = stream
    await this.#answered([stream])
    view.detail(stream.text)
    return [this.#toFacts(reference), this.#toFacts(stream)]
  }

  #askShort(client: ClientName, count: number): readonly DemoQuestion[] {
    return Array.from({ length: count }, () => this.#ask(client, this.#pick(shortQuestions)))
  }

  #ask(client: ClientName, prompt: string, onTokens?: (question: DemoQuestion) => void): DemoQuestion {
    const { board, mesh } = this.#options
    const count = (this.#asked.get(client) ?? 0) + 1
    this.#asked.set(client, count)
    const news = this.#news(onTokens ?? (() => undefined))
    // An exact resume is what makes the two answers comparable to the token.
    const options = { maxTokens, resume: 'exact' } as const
    const question = new DemoQuestion(mesh.client(client), `${client} #${count}`, prompt, options, news)
    board.questions.push(question)
    return question
  }

  #news(tokens: (question: DemoQuestion) => void): QuestionNews {
    const { board, view } = this.#options
    return {
      tokens,
      queued: (question) => {
        if (!question.isWaiting || this.#told.has(question)) return
        this.#told.add(question)
        view.detail(`${question.name} ${toPlace(board, question)}`)
      },
      attemptFailed: (question, { workerId, code }) =>
        view.detail(`${question.name} was failed by ${board.nameOf(workerId)}: ${code}`),
      handover: (question, { to, afterTokens, gapMs }) =>
        view.say(
          `${question.name} goes on at ${board.nameOf(to)} after ${afterTokens} tokens, ${Math.round(gapMs)} ms later`,
        ),
      ended: (question) => {
        const { name, result, failure, firstTokenAtMs = 0, askedAtMs, tokens } = question
        const waited = ((firstTokenAtMs - askedAtMs) / 1_000).toFixed(1)
        if (failure) view.say(`${name} FAILED: ${failure.code}: ${failure.message}`)
        else
          view.say(
            `${name} answered by ${board.nameOf(result?.workerId)}: ${tokens.length} tokens, the first after ${waited} s`,
          )
      },
    }
  }

  async #answered(questions: readonly DemoQuestion[]): Promise<void> {
    const { signal } = this.#options
    const all = Promise.all(questions.map(({ done }) => done))
    const late = until(() => questions.every(({ hasEnded }) => hasEnded), answersWithinMs, signal)
    await orGone(Promise.race([all, late]), signal)
  }

  #heroes(): readonly string[] {
    const left: string[] = [...heroes]
    return Array.from(heroes, () => left.splice(Math.floor(this.#random() * left.length), 1)[0] ?? 'fox')
  }

  #pick(items: readonly string[]): string {
    return items[Math.floor(this.#random() * items.length)] ?? 'hello'
  }

  #toFacts(question: DemoQuestion): QuestionFacts {
    const { board } = this.#options
    const { client, tier, askedAtMs, sentAtMs, firstTokenAtMs, tokens, text, result, failure } = question
    const { admittedAtMs = sentAtMs } = question
    const nameOf = (workerId: string): WorkerName => board.nameOf(workerId) ?? 'hostile'
    return {
      client,
      tier,
      askedAtMs,
      sentAtMs,
      admittedAtMs,
      firstTokenAtMs,
      tokens: [...tokens],
      text,
      attempts: question.attempts.map(({ workerId, code }) => ({
        worker: nameOf(workerId),
        ...(code !== undefined && { code }),
      })),
      ...(result && {
        answer: {
          text: result.text,
          completionTokens: result.usage.completionTokens,
          queuedMs: result.timings.queuedMs,
          handovers: result.handovers.map(({ from, to, afterTokens, gapMs }) => ({
            from: nameOf(from),
            to: nameOf(to),
            afterTokens,
            gapMs,
          })),
        },
      }),
      failure: failure ?? (result ? undefined : { code: 'QM_DEADLINE_PASSED', message: 'it took too long' }),
    }
  }
}
