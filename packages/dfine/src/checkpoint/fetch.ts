import { ModelFileError } from "./errors.ts";

/** Whether text is a web address rather than a path. */
export const isAddress = (text: string): boolean => /^(https?|data|blob):/i.test(text);

/** The bytes at an address. @throws ModelFileError when the server refuses or cannot be reached */
export async function fetchBytes(address: string): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(address);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ModelFileError(`${address}: cannot be reached (${reason}); check the address and the connection`);
  }
  if (!response.ok)
    throw new ModelFileError(`${address}: the server answers ${response.status}; check the address of the weights`);
  return new Uint8Array(await response.arrayBuffer());
}
