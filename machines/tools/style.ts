import type { ToolStyle } from '../../protocol/index.ts'

/** The form that calls have in a model's text. */
export interface CallForm {
  /** Text that begins a call; empty: the answer itself is the call, and begins with its brace. */
  readonly begin: string
  /** Text that ends it; empty: nothing does. */
  readonly end: string
  /** Whether all calls stand in one list behind one `begin`. */
  readonly isList: boolean
  /** What the member with the arguments is called. */
  readonly argumentsKey: 'arguments' | 'parameters'
  /** Whether there may be several. */
  readonly isParallel: boolean
}

export const callForms: Readonly<Record<ToolStyle, CallForm>> = {
  hermes: {
    begin: '<tool_call>',
    end: '</tool_call>',
    isList: false,
    argumentsKey: 'arguments',
    isParallel: true,
  },
  llama3: { begin: '', end: '', isList: false, argumentsKey: 'parameters', isParallel: false },
  mistral: { begin: '[TOOL_CALLS]', end: '', isList: true, argumentsKey: 'arguments', isParallel: true },
}
