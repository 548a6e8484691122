import { createContext, Script } from 'node:vm'

const script = new Script('call()')
const context: { call: () => unknown } = { call: () => undefined }
createContext(context)

/**
 * Ends a call into code of a model file, a chat template, that may never end by itself. Only for calls that do not enter
 * the engine: they are cut off wherever they are.
 *
 * @throws RangeError when it took longer than `limitMs` milliseconds, or what the call throws
 */
export function withinTime<T>(limitMs: number, call: () => T): T {
  context.call = call
  try {
    return script.runInContext(context, { timeout: limitMs }) as T
  } catch (error) {
    const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
    // The one of the library is an error of another realm.
    if (code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw new RangeError(`no end after ${limitMs} ms`)
    throw error
  } finally {
    context.call = () => undefined
  }
}
