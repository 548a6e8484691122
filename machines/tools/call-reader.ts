/** What a reader of one call has found so far. */
export type ReaderState = 'reading' | 'done' | 'broken'

export interface CallReaderHooks {
  /** The whole name is known. @returns whether there is such a function */
  readonly named: (name: string) => boolean
  /** More of the arguments, as they were written. */
  readonly wrote: (text: string) => void
}

type Place =
  /** Before the brace, or before a key or the closing brace. */
  | 'start'
  | 'key-or-end'
  | 'key'
  | 'in-key'
  | 'colon'
  | 'value'
  | 'in-string'
  | 'in-nested'
  | 'in-plain'
  | 'comma-or-end'

const isSpace = (char: string): boolean => char === ' ' || char === '\n' || char === '\t' || char === '\r'
const argumentKeys: ReadonlySet<string> = new Set(['arguments', 'parameters'])

/** Characters of a key or a name beyond which it is none of ours. */
const wordCharsMax = 256

/**
 * Reads the object of one call, character by character: `{"name": "f", "arguments": {…}}`. It knows where values end and
 * leaves what is inside the arguments alone, so they reach the caller as they were written, right or wrong. Each
 * character is looked at once, and nothing but a short word and arguments that came before the name are kept.
 */
export class CallReader {
  readonly #hooks: CallReaderHooks
  #place: Place = 'start'
  #key = ''
  #word = ''
  #depth = 0
  #isInString = false
  #isEscaped = false
  /** Arguments that wait for the name, or for the end of the string that they are wrapped in. */
  #held: string[] = []
  #isNamed = false
  #hasArguments = false
  /** Some write the arguments as a string of JSON. */
  #isWrapped = false

  constructor(hooks: CallReaderHooks) {
    this.#hooks = hooks
  }

  /** Whether the caller has heard the name. */
  get isNamed(): boolean {
    return this.#isNamed
  }

  read(char: string): ReaderState {
    switch (this.#place) {
      case 'start':
        if (isSpace(char)) return 'reading'
        return this.#go(char === '{', 'key-or-end')
      case 'key-or-end':
        if (char === '}') return this.#end()
        if (isSpace(char)) return 'reading'
        return this.#beginWord(char, 'in-key')
      case 'key':
        if (isSpace(char)) return 'reading'
        return this.#beginWord(char, 'in-key')
      case 'in-key':
        if (this.#isStringGoingOn(char)) return this.#addToWord(char)
        this.#key = toText(this.#word)
        return this.#go(true, 'colon')
      case 'colon':
        if (isSpace(char)) return 'reading'
        return this.#go(char === ':', 'value')
      case 'value':
        if (isSpace(char)) return 'reading'
        return this.#beginValue(char)
      case 'in-string':
        return this.#readString(char)
      case 'in-nested':
        return this.#readNested(char)
      case 'in-plain':
        if (char !== ',' && char !== '}' && char !== ']' && !isSpace(char)) {
          this.#add(char)
          return 'reading'
        }
        this.#place = 'comma-or-end'
        return this.read(char)
      case 'comma-or-end':
        if (isSpace(char)) return 'reading'
        return char === '}' ? this.#end() : this.#go(char === ',', 'key')
    }
  }

  #go(isRight: boolean, next: Place): ReaderState {
    this.#place = next
    return isRight ? 'reading' : 'broken'
  }

  #beginWord(char: string, place: Place): ReaderState {
    this.#word = ''
    this.#isEscaped = false
    return this.#go(char === '"', place)
  }

  #addToWord(char: string): ReaderState {
    this.#word += char
    return this.#word.length > wordCharsMax ? 'broken' : 'reading'
  }

  #isStringGoingOn(char: string): boolean {
    if (this.#isEscaped) this.#isEscaped = false
    else if (char === '\\') this.#isEscaped = true
    else return char !== '"'
    return true
  }

  get #isArguments(): boolean {
    return argumentKeys.has(this.#key)
  }

  #beginValue(char: string): ReaderState {
    if (this.#isArguments) {
      if (this.#hasArguments) return 'broken'
      this.#hasArguments = true
      this.#isWrapped = char === '"'
    }
    if (this.#key === 'name' && (this.#isNamed || char !== '"')) return 'broken'
    if (char === '"') {
      this.#add(char)
      return this.#beginWord(char, 'in-string')
    }
    if (char === '{' || char === '[') {
      this.#depth = 1
      this.#isInString = false
      this.#isEscaped = false
      this.#add(char)
      return this.#go(true, 'in-nested')
    }
    if (char === ',' || char === '}' || char === ']') return 'broken'
    this.#add(char)
    return this.#go(true, 'in-plain')
  }

  #readString(char: string): ReaderState {
    const goesOn = this.#isStringGoingOn(char)
    if (this.#key === 'name') {
      if (goesOn) return this.#addToWord(char)
      this.#isNamed = this.#hooks.named(toText(this.#word))
      if (!this.#isNamed) return 'broken'
      if (this.#hasArguments) this.#tellHeld()
    } else this.#add(char)
    if (goesOn) return 'reading'
    this.#place = 'comma-or-end'
    if (this.#isArguments) this.#unwrap()
    return 'reading'
  }

  #readNested(char: string): ReaderState {
    this.#add(char)
    if (this.#isInString) this.#isInString = this.#isStringGoingOn(char)
    else if (char === '"') this.#isInString = true
    else if (char === '{' || char === '[') this.#depth++
    else if ((char === '}' || char === ']') && --this.#depth === 0) this.#place = 'comma-or-end'
    return 'reading'
  }

  #add(char: string): void {
    if (!this.#isArguments) return
    this.#held.push(char)
    if (this.#isNamed && !this.#isWrapped && this.#place !== 'in-plain' && this.#place !== 'value')
      this.#tellHeld()
  }

  #unwrap(): void {
    this.#held = [toText(this.#held.join('').slice(1, -1))]
    this.#isWrapped = false
    if (this.#isNamed) this.#tellHeld()
  }

  #tellHeld(): void {
    if (this.#held.length === 0 || this.#isWrapped) return
    const text = this.#held.join('')
    this.#held = []
    this.#hooks.wrote(text)
  }

  #end(): ReaderState {
    if (!this.#isNamed) return 'broken'
    // A function without arguments: clients parse what they are given.
    if (!this.#hasArguments || this.#held.join('') === 'null') {
      this.#held = []
      this.#hooks.wrote('{}')
    } else this.#tellHeld()
    return 'done'
  }
}

/** What stands between the quotes of a JSON string; as it is where that is no JSON. */
function toText(raw: string): string {
  if (!raw.includes('\\')) return raw
  try {
    return String(JSON.parse(`"${raw}"`))
  } catch {
    return raw
  }
}
