import { openAiError } from '../error-shapes.ts'
import { toEvent, type StreamFormat } from '../sse.ts'
import { toDone, toHead, toOutputCall, toOutputMessage } from './response-answer.ts'
import type { ResponseRequest } from './response-request.ts'
import type { OutputCall, OutputItem, OutputMessage } from './wire.ts'

/** The events of a streamed response, numbered: items one after the other, of text and of calls. */
export function createResponseStream(id: string, model: string, request: ResponseRequest): StreamFormat {
  let sequence = 0
  const event: Event = (type, data) =>
    toEvent({ type: `response.${type}`, sequence_number: sequence++, ...data }, `response.${type}`)
  const head = toHead(id, model, request)
  const items = new StreamedItems(id, event)
  // It may begin with a call, so nobody says what it begins with before it does.
  const hasTools = (request.tools ?? []).length > 0
  return {
    begin: () =>
      event('created', { response: head }) +
      event('in_progress', { response: head }) +
      (hasTools ? '' : items.addText('')),
    delta: (_, text) => items.addText(text),
    calls: (_, deltas) =>
      deltas
        .map(({ id: callId, name, arguments: given }) => {
          const isNew = callId !== undefined && name !== undefined
          return (isNew ? items.beginCall(callId, name) : '') + items.addArguments(given)
        })
        .join(''),
    finish: (_, result) => {
      const isCut = result.finishReason === 'length'
      const last = items.end(isCut ? 'incomplete' : 'completed')
      const done = toDone(head, items.done, result)
      return last + event(done.status, { response: done })
    },
    end: () => '',
    failed: (failure) => {
      const { message, param, code } = failure
      const data = { type: 'error', sequence_number: sequence++, message, param, code }
      return toEvent({ ...data, ...openAiError(failure) }, 'error')
    },
  }
}

type Event = (type: string, data: object) => string

/** The items of an answer as they are written: at most one is open, and it is the last. */
class StreamedItems {
  readonly done: OutputItem[] = []
  readonly #id: string
  readonly #event: Event
  #text: { readonly id: string; written: string } | undefined
  #call: { readonly id: string; readonly name: string; written: string } | undefined

  constructor(id: string, event: Event) {
    this.#id = id
    this.#event = event
  }

  /** Begins a message, where none is open. */
  addText(delta: string): string {
    const before = this.#text ? '' : this.#beginText()
    if (delta === '') return before
    if (this.#text) this.#text.written += delta
    return before + this.#event('output_text.delta', { ...this.#part, delta, logprobs: [] })
  }

  beginCall(id: string, name: string): string {
    const before = this.#close('completed')
    this.#call = { id, name, written: '' }
    const item = toOutputCall({ id, name, arguments: '' }, 'in_progress')
    return before + this.#event('output_item.added', { output_index: this.done.length, item })
  }

  addArguments(delta: string): string {
    if (delta === '' || !this.#call) return ''
    this.#call.written += delta
    return this.#event('function_call_arguments.delta', { ...this.#place, delta })
  }

  /** An answer without anything is an empty message. */
  end(status: OutputMessage['status']): string {
    const isEmpty = this.done.length === 0 && !this.#call && !this.#text
    return (isEmpty ? this.#beginText() : '') + this.#close(status)
  }

  #beginText(): string {
    const before = this.#close('completed')
    const index = this.done.length
    const id = index === 0 ? this.#id : `${this.#id}_${index}`
    this.#text = { id, written: '' }
    const item: OutputMessage = { ...toOutputMessage(id, '', 'in_progress'), content: [] }
    return (
      before +
      this.#event('output_item.added', { output_index: index, item }) +
      this.#event('content_part.added', {
        ...this.#part,
        part: { type: 'output_text', text: '', annotations: [] },
      })
    )
  }

  get #place() {
    const id = this.#call ? `fc_${this.#call.id}` : `msg_${this.#text?.id ?? ''}`
    return { item_id: id, output_index: this.done.length }
  }

  get #part() {
    return { ...this.#place, content_index: 0 }
  }

  #close(status: OutputMessage['status']): string {
    if (this.#text) return this.#closeText(toOutputMessage(this.#text.id, this.#text.written, status))
    if (!this.#call) return ''
    const { id, name, written } = this.#call
    return this.#closeCall(toOutputCall({ id, name, arguments: written }, status))
  }

  #closeText(item: OutputMessage): string {
    const [part] = item.content
    const text = part?.text ?? ''
    const events =
      this.#event('output_text.done', { ...this.#part, text, logprobs: [] }) +
      this.#event('content_part.done', { ...this.#part, part })
    this.#text = undefined
    return events + this.#finish(item)
  }

  #closeCall(item: OutputCall): string {
    const { name, arguments: given } = item
    const events = this.#event('function_call_arguments.done', { ...this.#place, name, arguments: given })
    this.#call = undefined
    return events + this.#finish(item)
  }

  #finish(item: OutputItem): string {
    this.done.push(item)
    return this.#event('output_item.done', { output_index: this.done.length - 1, item })
  }
}
