import { configKeys, type ConfigKey } from './keys.ts'

const booleans: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  1: true,
  false: false,
  no: false,
  off: false,
  0: false,
}

const split = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

function toJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/**
 * Turns the text of a variable or a flag into the value its key wants. What cannot be turned stays text, so that the
 * schema refuses it and the message shows what was really written.
 */
export function fromText(key: ConfigKey, text: string): unknown {
  switch (configKeys[key].kind) {
    case 'integer':
      if (key === 'gpuLayers' && text.toLowerCase() === 'auto') return -1
      return /^[+-]?\d{1,15}$/.test(text.trim()) ? Number(text) : text
    case 'number':
      return /^\d{1,9}(\.\d{1,9})?$/.test(text.trim()) ? Number(text) : text
    case 'boolean':
      return booleans[text.trim().toLowerCase()] ?? text
    case 'list':
      return text.trim().startsWith('[') && key === 'models' ? toJson(text) : split(text)
    default:
      return text
  }
}

/** A flag given several times is a list; each one may hold several values with commas, except where they are paths. */
export function fromFlag(key: ConfigKey, value: unknown): unknown {
  if (typeof value === 'string') return fromText(key, value)
  if (!Array.isArray(value) || key === 'models') return value
  return value.flatMap((part: unknown) => (typeof part === 'string' ? split(part) : [part]))
}
