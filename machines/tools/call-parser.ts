import { limits, type ToolStyle } from '../../protocol/index.ts'
import { CallReader } from './call-reader.ts'
import { callForms, type CallForm } from './style.ts'

/** A part of a call, as it comes. The first one of each call has its id and its name. */
export interface ToolCallDelta {
  /** Which call of the answer. */
  readonly index: number
  readonly id?: string
  readonly name?: string
  /** More of the arguments; joined they are the JSON text that the model wrote. */
  readonly arguments: string
}

/** What some text of an answer turned out to be. */
export interface ParsedText {
  /** Text that is not part of a call. */
  readonly text: string
  readonly calls: readonly ToolCallDelta[]
}

export interface CallParserOptions {
  readonly style: ToolStyle
  /** Functions that there are: whatever else is called is text. */
  readonly names: readonly string[]
  /** Whether there may be more than one. */
  readonly isParallel: boolean
  readonly toId: (index: number) => string
}

type Place =
  /** In text; a call may begin. */
  | 'text'
  /** In text that can have no call any more. */
  | 'plain'
  /** Behind what begins a list of calls, before its bracket. */
  | 'list'
  | 'call'
  /** Behind a call of a list. */
  | 'next'
  /** Behind a call that has an end, before it. */
  | 'end'

const isSpace = (char: string): boolean => char === ' ' || char === '\n' || char === '\t' || char === '\r'

/**
 * Tells the calls in a model's answer from its text, while it comes. What it says depends on nothing but the text, however
 * that was cut, so a stream that goes on at another worker in the middle of a call has the same calls. What only looked
 * like a call is text; nothing is lost but the spaces around calls. Each character is looked at twice at most.
 */
export class CallParser {
  readonly #form: CallForm
  readonly #names: ReadonlySet<string>
  readonly #callsMax: number
  readonly #toId: (index: number) => string
  #place: Place = 'text'
  #reader: CallReader
  /** Characters of the mark that is expected next, that have come. */
  #matched = 0
  /** Spaces that are text only if text follows. */
  #spaces: string[] = []
  /** Everything since the beginning of what may be a call: it is text if it is none. */
  #raw: string[] = []
  #count = 0
  #text: string[] = []
  #calls: ToolCallDelta[] = []

  constructor({ style, names, isParallel, toId }: CallParserOptions) {
    this.#form = callForms[style]
    this.#names = new Set(names)
    this.#callsMax = isParallel && this.#form.isParallel ? limits.toolCallsMax : 1
    this.#toId = toId
    this.#reader = this.#createReader()
  }

  push(text: string): ParsedText {
    for (const char of text) this.#read(char)
    return this.#take()
  }

  /** The answer is over: what was held back is all there will be. */
  finish(): ParsedText {
    const { begin } = this.#form
    if (this.#place === 'text') this.#write(begin.slice(0, this.#matched))
    else if (this.#place === 'list' || (this.#place === 'call' && !this.#reader.isNamed)) this.#giveUp()
    if (this.#count === 0) this.#write('', true)
    this.#spaces = []
    this.#place = 'plain'
    return this.#take()
  }

  #take(): ParsedText {
    const parsed = { text: this.#text.join(''), calls: this.#calls }
    this.#text = []
    this.#calls = []
    return parsed
  }

  #read(char: string): void {
    switch (this.#place) {
      case 'plain':
        this.#write(char)
        return
      case 'text':
        this.#readText(char)
        return
      case 'list':
        this.#raw.push(char)
        if (char === '[') this.#beginCall()
        else if (!isSpace(char)) this.#giveUp()
        return
      case 'call':
        this.#readCall(char)
        return
      case 'next':
        if (char === ',') {
          this.#raw = [char]
          this.#beginCall()
        } else if (char === ']') this.#place = 'text'
        else if (!isSpace(char)) this.#readAgain(char)
        return
      case 'end':
        this.#readEnd(char)
    }
  }

  #readText(char: string): void {
    const { begin } = this.#form
    if (begin === '') {
      if (isSpace(char)) this.#write(char)
      else if (char === '{') {
        this.#raw = []
        this.#beginCall()
        this.#readCall(char)
      } else {
        this.#place = 'plain'
        this.#write(char)
      }
      return
    }
    if (char === begin[this.#matched]) {
      if (++this.#matched < begin.length) return
      this.#matched = 0
      this.#raw = [begin]
      if (this.#form.isList) this.#place = 'list'
      else this.#beginCall()
      return
    }
    // The first character of a mark comes in it only once, so what matched cannot be the beginning of another.
    if (this.#matched > 0) this.#write(begin.slice(0, this.#matched))
    this.#matched = 0
    if (char === begin[0]) this.#matched = 1
    else this.#write(char)
  }

  #readCall(char: string): void {
    const { isList, end } = this.#form
    const isNamed = this.#reader.isNamed
    const state = this.#reader.read(char)
    if (!this.#reader.isNamed) this.#raw.push(char)
    else if (!isNamed) {
      this.#raw = []
      this.#spaces = []
    }
    if (state === 'reading') return
    if (state === 'done') {
      this.#place = isList ? 'next' : end === '' ? 'plain' : 'end'
      this.#matched = 0
    } else if (this.#reader.isNamed) this.#readAgain(char)
    else {
      this.#raw.pop()
      this.#giveUp()
      this.#read(char)
    }
  }

  #readEnd(char: string): void {
    const { end } = this.#form
    if (char === end[this.#matched]) {
      if (++this.#matched < end.length) return
      this.#matched = 0
      this.#place = 'text'
    } else if (this.#matched > 0 || !isSpace(char)) {
      this.#write(end.slice(0, this.#matched))
      this.#readAgain(char)
    }
  }

  /** The call is over where nobody expected it: what comes is text, or the next one. */
  #readAgain(char: string): void {
    this.#matched = 0
    this.#place = this.#form.begin === '' ? 'plain' : 'text'
    this.#read(char)
  }

  #beginCall(): void {
    this.#place = 'call'
    this.#reader = this.#createReader()
  }

  /** It was no call. */
  #giveUp(): void {
    this.#matched = 0
    this.#place = this.#form.begin === '' ? 'plain' : 'text'
    const raw = this.#raw
    this.#raw = []
    this.#write(raw.join(''), true)
  }

  #write(text: string, isMeant = false): void {
    if (text === '' && !isMeant) return
    if (isSpace(text) && !isMeant) {
      this.#spaces.push(text)
      return
    }
    this.#text.push(this.#spaces.join(''))
    this.#spaces = []
    this.#text.push(text)
  }

  #createReader(): CallReader {
    const index = this.#count
    return new CallReader({
      named: (name) => {
        if (!this.#names.has(name) || index >= this.#callsMax) return false
        this.#count++
        this.#calls.push({ index, id: this.#toId(index), name, arguments: '' })
        return true
      },
      wrote: (text) => {
        const last = this.#calls.at(-1)
        if (last?.index === index)
          this.#calls[this.#calls.length - 1] = { ...last, arguments: last.arguments + text }
        else this.#calls.push({ index, arguments: text })
      },
    })
  }
}
