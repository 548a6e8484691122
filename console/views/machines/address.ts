/** A place in this view: an actor, and a moment of its history. */
export interface Place {
  /** A session, or the name under which the system knows the actor. */
  readonly actor: string | undefined
  readonly at: { readonly run: string; readonly seq: number } | undefined
}

const start = '#/machines'

export const nowhere: Place = { actor: undefined, at: undefined }

/** `#/machines/scheduler?at=5f2c.1234` */
export function toPlace(hash: string): Place {
  if (!hash.startsWith(start)) return nowhere
  const [path = '', query = ''] = hash.slice(start.length).split('?')
  const [, run, seq] = /^([0-9a-f]{1,16})\.(\d{1,15})$/.exec(new URLSearchParams(query).get('at') ?? '') ?? []
  return {
    actor: decode(path.replace(/^\//, '')) || undefined,
    at: run !== undefined && seq !== undefined ? { run, seq: Number(seq) } : undefined,
  }
}

/** Half an escape, typed by hand, is nobody's name. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

export function toHash({ actor, at }: Place): string {
  const path = actor === undefined ? '' : `/${encodeURIComponent(actor).replaceAll('%3A', ':')}`
  return `${start}${path}${at ? `?at=${at.run}.${at.seq}` : ''}`
}
