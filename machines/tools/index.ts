export { CallParser, parseCalls } from './call-parser.ts'
export type { CallParserOptions, ParsedText, ToolCallDelta } from './call-parser.ts'
export { callForms } from './style.ts'
export type { CallForm } from './style.ts'
