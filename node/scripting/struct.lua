-- struct, as Redis gives it to scripts (Roberto Ierusalimschy's, 0.2).
local tools = ...
local host, charge, fail, about_argument = tools.host, tools.charge, tools.fail, tools.about_argument
local byte, char, sub, find, reverse = string.byte, string.char, string.sub, string.find,
  string.reverse
local floor = math.floor

local INT_SIZE_MAX = 32
local SIZE_MAX = 2147483647
local SIZES = { b = 1, B = 1, h = 2, H = 2, l = 8, L = 8, T = 8, f = 4, d = 8, x = 1 }

local function text_argument(value, place)
  if type(value) == "string" then
    return value
  elseif type(value) == "number" then
    return tostring(value)
  end
  about_argument(place, "string expected, got " .. ((value == nil and place == 1) and "no value" or type(value)))
end

local function number_argument(value, place)
  local found = (type(value) == "number" or type(value) == "string") and tonumber(value)
  if not found then
    about_argument(place, "number expected, got " .. ((value == nil and place == 1) and "no value" or type(value)))
  end
  return found
end

-- A number in a format, `default` without one, and the place behind it.
local function digits_at(form, at, default)
  local _, last = find(form, "^%d+", at)
  if not last then
    return default, at
  end
  local number = tonumber(sub(form, at, last))
  if number > SIZE_MAX then
    fail("integral size overflow")
  end
  return number, last + 1
end

-- The options of a format one by one: letter, size, bytes of padding in front of it.
local function options(form, is_lenient)
  local at, is_little, align, total = 1, true, 1, 0
  return function()
    while at <= #form do
      local letter = sub(form, at, at)
      at = at + 1
      if letter == " " then
        -- Nothing.
      elseif letter == ">" then
        is_little = false
      elseif letter == "<" then
        is_little = true
      elseif letter == "!" then
        align, at = digits_at(form, at, 8)
        if align == 0 or align ~= 2 ^ floor(math.log(align) / math.log(2) + 0.5) then
          fail("alignment " .. align .. " is not a power of 2")
        end
      else
        local size = SIZES[letter]
        if letter == "i" or letter == "I" then
          size, at = digits_at(form, at, 4)
          if size > INT_SIZE_MAX then
            fail("integral size " .. size .. " is larger than limit of " .. INT_SIZE_MAX)
          end
        elseif letter == "c" then
          size, at = digits_at(form, at, 1)
        elseif letter == "s" then
          size = 0
        elseif not size then
          if not is_lenient then
            about_argument(1, "invalid format option '" .. letter .. "'")
          end
          size = 0
        end
        local padding = 0
        if letter ~= "c" and letter ~= "s" and letter ~= "x" and size > 0 and align > 1 then
          local to = size > align and align or size
          padding = (to - total % to) % to
        end
        total = total + padding + size
        return letter, size, padding, is_little, function(more)
          total = total + more
        end
      end
    end
  end
end

local function integer_bytes(value, size, is_little)
  value = value < 0 and math.ceil(value) or floor(value)
  if value ~= value or value >= 2 ^ 63 or value < -(2 ^ 63) then
    value = value >= 2 ^ 63 and value < 2 ^ 64 and value or -(2 ^ 63)
  end
  local is_negative = value < 0
  local parts = {}
  if is_negative then
    value = -value - 1
  end
  for place = 1, size do
    if place > 8 then
      parts[place] = "\0"
    else
      local low = value % 256
      value = floor(value / 256)
      parts[place] = char(is_negative and 255 - low or low)
    end
  end
  local text = table.concat(parts)
  return is_little and text or reverse(text)
end

local function integer_of(text, is_little, is_signed)
  if not is_little then
    text = reverse(text)
  end
  local size = #text
  if size > 8 then
    text, size = sub(text, 1, 8), 8
  end
  local value = 0
  local is_negative = is_signed and size > 0 and byte(text, size) >= 128
  for place = size, 1, -1 do
    local one = byte(text, place)
    value = value * 256 + (is_negative and 255 - one or one)
  end
  return is_negative and -value - 1 or value
end

local SIGNED = { b = true, h = true, l = true, i = true }
local FLOATS = { f = "<f", d = "<d" }
local struct = {}

function struct.pack(form, ...)
  form = text_argument(form, 1)
  local parts, count, place = {}, 0, 0
  local total = 0
  local function put(text)
    total = total + #text
    charge(#text / 8)
    count = count + 1
    parts[count] = text
  end
  for letter, size, padding, is_little, grow in options(form) do
    if padding > 0 then
      put(string.rep("\0", padding))
    end
    if letter == "x" then
      put("\0")
    elseif letter == "s" or letter == "c" then
      place = place + 1
      local text = text_argument((select(place, ...)), place + 1)
      if letter == "c" then
        if size == 0 then
          size = #text
          grow(size)
        elseif #text < size then
          about_argument(place + 2, "string too short")
        end
        put(sub(text, 1, size))
      else
        put(text .. "\0")
        grow(#text + 1)
      end
    else
      place = place + 1
      local value = number_argument((select(place, ...)), place + 1)
      if FLOATS[letter] then
        local text = host.float_bytes(FLOATS[letter], value)
        put(is_little and text or reverse(text))
      else
        put(integer_bytes(value, size, is_little))
      end
    end
  end
  return table.concat(parts)
end

function struct.unpack(form, text, start)
  form, text = text_argument(form, 1), text_argument(text, 2)
  local at = start == nil and 1 or number_argument(start, 3)
  if at < 0 then
    about_argument(2, "data string too short")
  elseif at < 1 then
    about_argument(3, "offset must be 1 or greater")
  end
  at = floor(at) - 1
  local found, count = {}, 0
  local function need(size)
    if size > #text - at or at > #text then
      about_argument(2, "data string too short")
    end
  end
  for letter, size, padding, is_little, grow in options(form) do
    at = at + padding
    if letter == "x" then
      need(1)
      at = at + 1
    elseif letter == "s" then
      local stop = find(text, "\0", at + 1, true) or find(text, "%z", at + 1)
      if not stop then
        fail("unfinished string in data")
      end
      count = count + 1
      found[count] = sub(text, at + 1, stop - 1)
      charge((stop - at) / 8)
      grow(stop - at)
      at = stop
    elseif letter == "c" then
      if size == 0 then
        if count == 0 or type(found[count]) ~= "number" then
          fail("format 'c0' needs a previous size")
        end
        size = found[count]
        found[count] = nil
        count = count - 1
        if size < 0 then
          about_argument(2, "data string too short")
        end
        grow(size)
      end
      need(size)
      count = count + 1
      found[count] = sub(text, at + 1, at + size)
      charge(size / 8)
      at = at + size
    else
      need(size)
      local piece = sub(text, at + 1, at + size)
      count = count + 1
      if FLOATS[letter] then
        found[count] = host.bytes_float(FLOATS[letter], is_little and piece or reverse(piece))
      else
        found[count] = integer_of(piece, is_little, SIGNED[letter])
      end
      at = at + size
    end
    if count > 7000 then
      fail("too many results to unpack")
    end
  end
  found[count + 1] = at + 1
  return unpack(found, 1, count + 1)
end

function struct.size(form)
  form = text_argument(form, 1)
  local total = 0
  for letter, size, padding in options(form, true) do
    if letter == "s" then
      about_argument(1, "option 's' has no fixed size")
    elseif letter == "c" and size == 0 then
      about_argument(1, "option 'c0' has no fixed size")
    end
    total = total + padding + size
    if total > SIZE_MAX then
      fail("format too large")
    end
  end
  return total
end

return struct
