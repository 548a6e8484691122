import type { SafeValue } from '../../protocol/inspection.ts'

/**
 * The form in which contexts and events may be seen: enough to follow a machine, too little to read a prompt or use a
 * key. Only what is known to be harmless comes through; everything else says how much there was.
 */
export interface SafeBounds {
  readonly depthMax: number
  /** Entries of one list or object. */
  readonly entriesMax: number
  /** Values in all. */
  readonly valuesMax: number
}

export const defaultSafeBounds: SafeBounds = { depthMax: 5, entriesMax: 32, valuesMax: 200 }

/** Characters of a word that is shown as it stands. */
export const wordCharsMax = 40

/** Characters of a name of an actor, an event or a key. */
export const nameCharsMax = 120

/** What may be a word of a program; nobody's sentence is. */
const word = /^[\w.:…-]+$/

/** Names under which people's words and secrets are kept: below them nothing is shown but sizes. */
const secretName =
  /prompt|message|content(?!ion)|(^|[^n])text|answer|secret|pass(word|phrase|code)|^pass$|(api|access|private)[_-]?key|credential|authori[sz]ation|^auth$|bearer|mnemonic|cookie|signature|^seed|^keys?$|tokens?$|^words?$|^stops?$|^resume$/i

/** Names of what can be somebody's words where it is a text, and is a structure of the program's own otherwise. */
const openName =
  /^(input|output|result|error|data|value|query|question|reply|response|line|body|title|description)$/i

/** Numbers in a row can be a text too, by their token ids or their bytes. */
const numbersShownMax = 8

const hexRun = /[0-9a-f](?:[-_.:]?[0-9a-f]){16,}/gi
const wordRun = /[A-Za-z0-9_+/=-]{17,}/g
const shorten = (id: string): string => `${id.slice(0, 8)}…`

/** Ids of two parts keep the beginning of both. */
function shortenHex(run: string): string {
  const parts = run.split(':')
  if (parts.some((part) => part.length > 16))
    return parts.map((part) => (part.length > 16 ? shorten(part) : part)).join(':')
  // Words may have such letters only; a number is not made of them.
  return /\d/.test(run) ? shorten(run) : run
}

/** Base64 and its like: large and small letters and digits, as no word has them. */
function shortenMixed(run: string): string {
  const letters = run.replaceAll(/[^A-Za-z0-9]/g, '')
  const hasAll = /[a-z]/.test(letters) && /[A-Z]/.test(letters) && /\d/.test(letters)
  const isOneRun = /\d/.test(run) && !run.includes('-')
  // `camelCaseOfAnyLength` changes once or twice a word, random letters every other time.
  const changes = letters.match(/[a-z](?=[A-Z])|[A-Z](?=[a-z])/g)?.length ?? 0
  return hasAll || isOneRun || changes > 0.45 * letters.length ? shorten(run) : run
}

/** Ids and keys of any kind, by what they look like, cut to what still tells two of them apart. */
const withoutKeys = (text: string): string =>
  text.replaceAll(hexRun, shortenHex).replaceAll(wordRun, shortenMixed)

const lengthOf = (text: string): string => `text of ${text.length} characters`

/** A string as it may be seen. */
export function toSafeText(text: string): string {
  // No regular expression looks at a text of any length.
  if (text.length > 256) return lengthOf(text)
  if (text === '') return ''
  const short = withoutKeys(text)
  return short.length <= wordCharsMax && word.test(short) ? short : lengthOf(text)
}

/** The name of an actor, an event, an action or a key, which programs give and not people; those without types give anything. */
export function toSafeName(name: unknown): string {
  if (typeof name !== 'string') return typeof name === 'number' ? String(name) : 'unnamed'
  if (name.length > 256) return lengthOf(name)
  const short = withoutKeys(name)
  return short.length <= nameCharsMax && /^[\w.:…*$#@/()[\]<>,+=?!& -]*$/.test(short) ? short : lengthOf(name)
}

/** Anything a program keeps, in safe form. Never throws, whatever getters and proxies do. */
export function toSafeValue(value: unknown, bounds: SafeBounds = defaultSafeBounds): SafeValue {
  let left = bounds.valuesMax
  // What contains itself ends at the depth; what is shared is written twice.
  const visit = (current: unknown, depth: number, isSecret: boolean): SafeValue | undefined => {
    if (left-- <= 0) return '…'
    switch (typeof current) {
      case 'boolean':
        return current
      case 'number':
        return Number.isFinite(current) ? current : String(current)
      case 'bigint':
        return `${String(current).slice(0, 20)}n`
      case 'string':
        return isSecret && current !== '' ? lengthOf(current) : toSafeText(current)
      case 'object':
        return current === null ? null : visitObject(current, depth, isSecret)
      default:
        // Functions and symbols are part of the program; undefined is nothing.
        return undefined
    }
  }
  const visitObject = (current: object, depth: number, isSecret: boolean): SafeValue | undefined => {
    if (ArrayBuffer.isView(current)) return `${current.byteLength} bytes`
    if (current instanceof ArrayBuffer) return `${current.byteLength} bytes`
    if (Array.isArray(current)) return visitList(current, depth, isSecret)
    if (current instanceof Map || current instanceof Set) return `${nameOf(current)} of ${current.size}`
    if (current instanceof Error) return toSafeError(current)
    const actor = toActorId(current)
    if (actor !== undefined) return `actor ${actor}`
    const prototype: unknown = Object.getPrototypeOf(current)
    if (prototype !== null && prototype !== Object.prototype) return nameOf(current)
    return visitRecord(current, depth, isSecret)
  }
  const visitList = (list: readonly unknown[], depth: number, isSecret: boolean): SafeValue => {
    const isNumbers = list.length > 0 && typeof list[0] === 'number'
    if (isNumbers && (isSecret || list.length > numbersShownMax)) return `${list.length} numbers`
    if (isSecret || depth >= bounds.depthMax) return `${list.length} entries`
    const shown = list.slice(0, bounds.entriesMax).map((entry) => visit(entry, depth + 1, false) ?? null)
    const more = list.length - shown.length
    return more > 0 ? [...shown, `… ${more} more`] : shown
  }
  const visitRecord = (record: object, depth: number, isSecret: boolean): SafeValue | undefined => {
    const { first, count } = namesOf(record, bounds.entriesMax)
    // The names can be words of an answer, too.
    if (isSecret || depth >= bounds.depthMax) return `${count} fields`
    const shown: [string, SafeValue][] = []
    for (const name of first) {
      const descriptor = Object.getOwnPropertyDescriptor(record, name)
      // A getter is code of the program: looking must not run it.
      if (!descriptor || !('value' in descriptor)) continue
      const isOpenText = typeof descriptor.value !== 'object' && openName.test(name)
      const safe = visit(descriptor.value, depth + 1, isOpenText || secretName.test(name))
      if (safe !== undefined) shown.push([toSafeName(name), safe])
    }
    const more = count - first.length
    if (more > 0) shown.push(['…', `${more} more`])
    // Ports and the like are functions only: nothing to look at.
    if (shown.length === 0 && count > 0) return undefined
    return Object.fromEntries(shown)
  }
  try {
    return visit(value, 0, false) ?? null
  } catch {
    return 'not to be read'
  }
}

interface Names {
  readonly first: readonly string[]
  readonly count: number
}

/** Names in a record from which on counting them is worth remembering. */
const manyNames = 1_000
const namesOfLarge = new WeakMap<object, Names>()

/**
 * The names in a record, the first of them by name. Counting a hundred thousand takes milliseconds, and a record stays the
 * same object from one context to the next: of one that is changed in place, what was counted first is told.
 */
function namesOf(record: object, firstMax: number): Names {
  const known = namesOfLarge.get(record)
  if (known?.first.length === firstMax) return known
  const names = Object.keys(record)
  const found = { first: names.slice(0, firstMax), count: names.length }
  if (found.count >= manyNames) namesOfLarge.set(record, found)
  return found
}

/** Its kind and its code; what a message says may be anybody's words. */
function toSafeError(error: Error): SafeValue {
  const code = Object.getOwnPropertyDescriptor(error, 'code')?.value as unknown
  return {
    error: toSafeName(nameOf(error)),
    ...(typeof code === 'string' && { code: toSafeText(code) }),
  }
}

function nameOf(value: object): string {
  const constructor: unknown = value.constructor
  return typeof constructor === 'function' && constructor.name !== ''
    ? toSafeName(constructor.name)
    : 'object'
}

/** By its looks: an embedding service may have an XState of its own. */
function toActorId(value: object): string | undefined {
  const id = 'sessionId' in value && 'getSnapshot' in value ? value.sessionId : undefined
  return typeof id === 'string' ? toSafeName(id) : undefined
}
