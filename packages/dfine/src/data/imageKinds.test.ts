import { expect, test } from "vitest";
import { isDecodedKind, undecodableKind } from "./imageKinds.ts";

const bytes = (text: string) => Uint8Array.from(`${text}${"\xaa".repeat(300)}`, (character) => character.charCodeAt(0));
const dicom = `${"\0".repeat(128)}DICM`;

test.each([
  ["a.jpg", "\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"],
  ["a.jpg", "\0\0\0\x18ftyphevc\0\0\0\0", "HEIC"],
  ["a.heif", "\0\0\0\x18ftypmif1\0\0\0\0mif1", "HEIF"],
  ["a.jpg", "\xff\x0a", "JPEG XL"],
  ["a.jxl", "\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"],
  ["a.jp2", "\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"],
  ["a.j2k", "\xff\x4f\xff\x51", "JPEG 2000"],
  ["a.bmp", "BM\x36\x10\0\0\0\0\0\0", "BMP"],
  ["a.psd", "8BPS\0\x01", "Photoshop"],
  ["a.pgm", "P5\n2 2\n255\n", "PNM"],
  ["a.ico", "\0\0\x01\0\x01\0", "ICO"],
  ["a.exr", "v/1\x01", "OpenEXR"],
  ["a.dcm", dicom, "DICOM"],
  ["a.cr2", "II*\0\x10\0\0\0CR\x02\0", "raw image"],
  ["a.cr3", "\0\0\0\x18ftypcrx ", "raw image"],
  ["a.raf", "FUJIFILMCCD-RAW 0201", "raw image"],
  ["a.nef", "MM\0*\0\0\0\x08", "raw image"],
  ["IMG.DNG", "II*\0\x08\0\0\0", "raw image"],
  ["a.pdf", "%PDF-1.7\n", "PDF"],
  ["a.mp4", "\0\0\0\x18ftypisom", "video"],
  ["a.mov", "\0\0\0\x14ftypqt  ", "video"],
  ["a.webm", "\x1aE\xdf\xa3", "video"],
  ["a.avi", "RIFF\x01\x02\x03\x04AVI LIST", "video"],
  ["a.svg", '<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"],
  ["a.svg", '\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made by x -->\n<svg width="5"/>', "SVG"],
  ["a.jpg", "<!DOCTYPE html><html><body><svg width='5'/></body></html>", "web page"],
  ["a.jpg", "\n<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "web page or XML"],
  ["a.jpg", "version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS"],
  ["a.jpg", "/annex/objects/SHA256E-s1--ab.jpg\n", "git-annex"],
  ["._a.jpg", "\0\x05\x16\x07\0\x02\0\0Mac OS X", "companion"],
  ["a.jpg", "PK\x03\x04", "archive"],
  ["a.npy", "\x93NUMPY\x01\0", "NumPy"],
  ["a.jpg", "\0".repeat(64), "zeros"],
])("%s that begins with %j is named: %s", (name, start, kind) => {
  const found = undecodableKind(name, bytes(start));
  expect(found?.is).toContain(kind);
  expect(found?.remedy).toMatch(/\.$/);
  expect(isDecodedKind(bytes(start))).toBe(start.startsWith("II*") || start.startsWith("MM"));
});

test.each([
  ["a.jpg", "\xff\xd8\xff\xe0"],
  ["a.png", "\x89PNG\r\n"],
  ["a.gif", "GIF89a"],
  ["a.webp", "RIFF\x01\x02\x03\x04WEBPVP8 "],
  ["a.tif", "II*\0\x08\0\0\0"],
  ["a.tif", "MM\0+\0\x08"],
  ["a.avif", "\0\0\0\x18ftypavif\0\0\0\0"],
])("%s that begins with %j is of a kind that is decoded", (name, start) => {
  expect(undecodableKind(name, bytes(start))).toBeUndefined();
  expect(isDecodedKind(bytes(start))).toBe(true);
});

test("of other files nothing is said; empty ones are called empty", () => {
  expect(undecodableKind("a.jpg", bytes("hello"))).toBeUndefined();
  expect(isDecodedKind(bytes("hello"))).toBe(false);
  expect(undecodableKind("a.jpg", new Uint8Array())?.is).toContain("empty");
});
