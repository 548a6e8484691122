import { signal } from '@preact/signals'

/** Forgotten with the tab. */
const storageName = 'qmesh.key'

/** What the dialog shows while a key is asked for; undefined while none is. */
export const keyWanted = signal<{ readonly wasWrong: boolean } | undefined>(undefined)

let waiting: { readonly promise: Promise<void>; readonly done: () => void } | undefined

export const currentKey = (): string | undefined => sessionStorage.getItem(storageName) ?? undefined

/** Asks for a key, once for all that wait for one. @param used the key that was refused */
export function askKey(used: string | undefined): Promise<void> {
  // Somebody gave another one in the meantime.
  if (currentKey() !== used) return Promise.resolve()
  if (!waiting) {
    let done = (): void => {}
    const promise = new Promise<void>((resolve) => {
      done = resolve
    })
    waiting = { promise, done }
    keyWanted.value = { wasWrong: used !== undefined }
  }
  return waiting.promise
}

export function giveKey(key: string): void {
  sessionStorage.setItem(storageName, key)
  keyWanted.value = undefined
  waiting?.done()
  waiting = undefined
}
